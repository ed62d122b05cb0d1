"""Errors of the library; a service's own extend them."""


class CrosstapeError(Exception):
    """Everything we raise on purpose."""


class SettingsError(CrosstapeError):
    """A setting is unknown or wrong: names its path, the value and, where there is one, the nearest valid name."""


class StorageError(CrosstapeError):
    """A directory that we need cannot be written: names the setting, the path and what the system says."""


class DirectoryInUse(StorageError):
    """Another process uses a directory that we need for ourselves: names it, and who has it since when."""


class BusError(CrosstapeError):
    """The bus cannot be used as asked."""


class WrongTape(BusError):
    """What is to be published does not belong on this tape: a simulated venue on a live one, or a live venue on a simulated."""


class Superseded(BusError):
    """Another process with the same producer name has started since: this one must stop publishing."""
