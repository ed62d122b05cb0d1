"""Errors of the library; a service's own extend them."""


class CrosstapeError(Exception):
    """The base of all errors that are raised on purpose."""


class SettingsError(CrosstapeError):
    """A setting is unknown or wrong. The text names its path, the value and, if there is one, the nearest valid name."""


class StorageError(CrosstapeError):
    """A directory that is needed cannot be written. The text names the setting, the path and the system's error."""


class HistoryError(CrosstapeError):
    """The recorded history cannot be read or written now, or is not what it should be. The text names the store and what is wrong."""


class DirectoryInUse(StorageError):
    """Another process uses a directory that only one may use. The text names the directory, that process and its start."""


class BusError(CrosstapeError):
    """The bus cannot be used as asked."""


class WrongTape(BusError):
    """The events do not belong on this tape: those of a simulated venue on a live tape, or of a live venue on a simulated one."""


class Superseded(BusError):
    """Another process with the same producer name has started since. This one must stop publishing."""


class FrameError(CrosstapeError):
    """Events cannot be made into a DataFrame as asked. The text names the column, the kind or the library."""


class UnknownName(CrosstapeError, ValueError):
    """There is no such kind, timeframe, instrument or venue. The text names it and, if there is one, the nearest right name."""
