"""The version of this distribution."""

__version__ = "0.1.0"
"""The installed version, such as `0.1.0`."""
