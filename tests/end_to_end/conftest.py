"""What tests of whole processes share with the rehearsals."""

from tests.chaos.conftest import short_path

__all__ = ["short_path"]
