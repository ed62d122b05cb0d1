"""The log of the library, with structlog and without."""

from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from crosstape import log as module
from crosstape.log import get_log


def test_events_and_fields_by_structlog_where_it_is_installed() -> None:
    """As the services write them."""
    with capture_logs() as logs:
        get_log("crosstape.test").warning("bus.away", who="tape")
    assert logs == [{"event": "bus.away", "log_level": "warning", "who": "tape"}]


def test_events_and_fields_by_logging_without_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """One line each, under the name of the module, from the place that wrote it, and with the traceback of an error."""
    monkeypatch.setattr(module, "structlog", None)
    log = get_log("crosstape.test")
    caplog.set_level(logging.INFO, "crosstape")
    log.debug("not.shown", secret=1)
    log.info("bus.available", away_s=0.5, reason="100% %s")
    log.warning("bus.away", who="tape")
    try:
        raise ValueError("wrong")
    except ValueError as exc:
        log.error("tape.callback_failed", exc_info=exc)
    assert [(record.levelname, record.name, record.getMessage()) for record in caplog.records] == [
        ("INFO", "crosstape.test", "bus.available away_s=0.5 reason='100% %s'"),
        ("WARNING", "crosstape.test", "bus.away who='tape'"),
        ("ERROR", "crosstape.test", "tape.callback_failed"),
    ]
    assert {record.filename for record in caplog.records} == {"test_log.py"}
    assert "ValueError: wrong" in caplog.text
