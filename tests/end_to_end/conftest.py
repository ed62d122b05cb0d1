"""Fixtures that tests of complete processes share with the rehearsals."""

from tests.chaos.conftest import short_path

__all__ = ["short_path"]
