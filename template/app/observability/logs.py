"""Structured logs: one JSON object a line, each with the id of its request."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from app.settings import Settings

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# What every record has: the rest came with `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JSONFormatter(logging.Formatter):
    """Formats a record, and whatever came with `extra=`, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Formats a record for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        extra["request_id"] = request_id.get()
        # repr: what a client sent must not begin a line of its own.
        return " ".join([line, *(f"{key}={value!r}" for key, value in extra.items() if value)])


def configure_logging(settings: Settings) -> None:
    """Send all logs from now on, the server's own included, to standard error in one format."""
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(JSONFormatter())
    else:
        handler.setFormatter(TextFormatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
    # Ours has the duration and the request's id, and costs less.
    logging.getLogger("uvicorn.access").disabled = True
