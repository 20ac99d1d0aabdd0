"""The local server that data sets come from in these tests."""

from tests.http_stand_in import server

__all__ = ["server"]
