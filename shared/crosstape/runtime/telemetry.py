"""Sets up logs, metrics and health of a service. What it measures is in each package's `metrics`."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec
import prometheus_client
import structlog
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from crosstape.errors import SettingsError
from crosstape.settings import HIDDEN, TelemetrySettings, shown
from crosstape.version import __version__

Ready = Callable[[], tuple[bool, dict[str, Any]]]
"""Returns whether a service does its work now, and what `/readyz` shows. It is called for each request and must not wait."""

BUILD_INFO: Final = prometheus_client.Gauge(
    "crosstape_build_info", "Always 1; its labels are the version and the service", ["version", "service"]
)

_texts: Final[list[Callable[[], str]]] = []
"""Texts that `/metrics` has in addition to the registry."""
_OPEN_METRICS_END: Final = b"# EOF\n"

_SECRET_KEYS: Final = frozenset({"password", "passwd", "secret", "token", "authorization"})
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

log = structlog.get_logger(__name__)


def configure_logging(settings: TelemetrySettings, *, service: str) -> None:
    """Send all logs, those of libraries included, to standard error: one event on a line, with its fields and `service`.

    Standard output is for data. Call this once, at the start of a process.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
        without_secrets,
    ]
    last: list[structlog.typing.Processor]
    if as_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]
    else:
        plain = structlog.dev.plain_traceback  # the other formatters print the locals of every frame, with secrets in them
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain, pad_event_to=24)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write for each line: several processes may share a terminal
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[settings.log_level], logging.INFO), force=True)
    logging.captureWarnings(capture=True)
    BUILD_INFO.labels(version=__version__, service=service).set(1)


def without_secrets(_logger: Any, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Hides fields that are named like a secret, and credentials in addresses. A structlog processor."""
    for name, value in fields.items():
        if name.lower() in _SECRET_KEYS:
            fields[name] = HIDDEN
        elif isinstance(value, str) and "://" in value:
            fields[name] = " ".join(shown(word) if "://" in word else word for word in value.split(" "))
    return fields


@contextmanager
def exposed(text: Callable[[], str]) -> Iterator[None]:
    """Add the text that `text` returns to `/metrics` for the length of the block: for gauges that are too many for the metrics library.

    It must be in Prometheus's text format, with HELP and TYPE, and with metric names that nothing else has.
    """
    _texts.append(text)
    try:
        yield
    finally:
        _texts.remove(text)


@asynccontextmanager
async def serve(settings: TelemetrySettings, ready: Ready) -> AsyncIterator[str | None]:
    """Serve `/healthz` (200 while the process runs), `/readyz` (503 until `ready`) and `/metrics` for the length of the block.

    Yields the base URL, which is also logged; None if switched off. Raises `SettingsError` if it cannot listen on the address.
    """
    if not settings.http_enabled:
        yield None
        return
    runner = web.AppRunner(_app(ready), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        where = f"telemetry.http_host = {settings.http_host}, telemetry.http_port = {settings.http_port}"
        url = await listen(runner, settings.http_host, settings.http_port, where)
        log.info("telemetry.listening", url=url)
        yield url
    finally:
        await runner.cleanup()


async def listen(runner: web.AppRunner, host: str, port: int, where: str) -> str:
    """Listen on an address; port 0: any free one. Returns the base URL. Raises `SettingsError`, which begins with `where`, if it cannot."""
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as exc:
        raise SettingsError(f"{where}: cannot listen there: {exc.strerror}") from exc
    bound_host, bound_port = runner.addresses[0][:2]
    return f"http://[{bound_host}]:{bound_port}" if ":" in bound_host else f"http://{bound_host}:{bound_port}"


def metrics_answer(request: web.Request) -> web.Response:
    """Returns all metrics of the process, in the form of Prometheus's text format that the request accepts."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    body = encode(prometheus_client.REGISTRY)
    end = _OPEN_METRICS_END if body.endswith(_OPEN_METRICS_END) else b""
    body = b"".join([body.removesuffix(end), *(text().encode() for text in _texts), end])
    return web.Response(body=body, headers={"Content-Type": content_type})


def _app(ready: Ready) -> web.Application:
    async def healthz(_request: web.Request) -> web.Response:
        return _answer(200, {"status": "ok", "version": __version__})

    async def readyz(_request: web.Request) -> web.Response:
        is_ready, details = ready()
        return _answer(200 if is_ready else 503, {"ready": is_ready, **details})

    async def metrics(request: web.Request) -> web.Response:
        return metrics_answer(request)

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


def _answer(status: int, body: Mapping[str, Any]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body, enc_hook=str), content_type="application/json")


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        fields.setdefault("service", service)
        return fields

    return add


def _to_json(fields: Any, **_: Any) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode()
