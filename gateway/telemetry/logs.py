"""Structured logs on stderr: for people on a terminal, one JSON object a line otherwise."""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import TextIO, cast

import structlog

from gateway.core.current import CURRENT
from gateway.core.log_settings import LogSettings
from gateway.telemetry.log_flood import LogFlood
from gateway.telemetry.log_stream import LogStream


class ProcessLogs(logging.Filter):
    """Says which messages this process writes, structlog's and the libraries'; may be changed at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.change(LogSettings())

    @property
    def settings(self) -> LogSettings:
        """What is written now."""
        return self._settings

    def change(self, settings: LogSettings) -> None:
        """Write this from now on."""
        self._settings = settings
        levels = {
            "debug": settings.verbose_level > 0,
            "info": settings.info,
            "warning": settings.warning,
            "error": settings.error,
            "critical": settings.error,
        }
        self._silent = {level for level, written in levels.items() if not written}

    def drop_silent(
        self,
        logger: object,  # noqa: ARG002
        method: str,
        event: structlog.typing.EventDict,
    ) -> structlog.typing.EventDict:
        """A processor that ends what is not to be written."""
        if method in self._silent:
            raise structlog.DropEvent
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a library's message is written."""
        return record.levelname.lower() not in self._silent


LOGS = ProcessLogs()

_LONGEST_ID = 200  # characters; the client chose it


def name_request(
    logger: object,  # noqa: ARG001
    method: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    """A processor that adds the ids of the request that is being handled, if any, and of its trace."""
    context = CURRENT.get()
    if context is not None:
        ids = {"trace_id": context.trace_id, "request_id": context.request_id[:_LONGEST_ID]}
        event.update({name: value for name, value in ids.items() if value})
    return event


def configure_logging(worker: int | None = None) -> None:
    """Set up structlog for this process, and bring the libraries' warnings into the same stream.

    Every line of a ``worker``, one of several, has its number.
    """
    terminal = sys.stderr.isatty()
    stream = cast("TextIO", LogStream(sys.stderr))
    shared: list[structlog.typing.Processor] = [
        name_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        shared.insert(0, partial(_name_worker, worker))
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    if not terminal:
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[LOGS.drop_silent, LogFlood(), *shared, renderer],
        # Loggers are cached, so that a level of theirs could not change: the first processor does it.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    handler.addFilter(LOGS)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _name_worker(
    worker: int,
    logger: object,  # noqa: ARG001
    method: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    event["worker"] = worker
    return event
