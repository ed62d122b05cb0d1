"""Errors of the simulator."""

from crosstape.errors import CrosstapeError, SettingsError


class SimulatorError(CrosstapeError):
    """The simulator cannot run as asked."""


class RecordingError(SimulatorError):
    """A recording cannot be played: names the file, and the line where there is one."""


class ListenError(SimulatorError, SettingsError):
    """An address cannot be listened on: names it, the option that asked for it, and the reason."""


class FaultError(SimulatorError, SettingsError):
    """A fault cannot be set as asked: names what is wrong and, where there is one, the nearest valid name."""
