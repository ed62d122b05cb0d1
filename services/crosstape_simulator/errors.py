"""Errors of the simulator."""

from crosstape.errors import CrosstapeError


class SimulatorError(CrosstapeError):
    """The simulator cannot be run as asked."""


class RecordingError(SimulatorError):
    """A recording cannot be played: names the file, and the line where there is one."""
