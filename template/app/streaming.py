"""Streams of JSON Lines: any number of rows in the memory of a batch.

FastAPI's own stream sends each row by itself; a batch at a time is many times faster
(docs/performance.md).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Message, Send

from app.observability.counts import Count

logger = logging.getLogger(__name__)

BATCH_BYTES = 65_536
STALL_SECONDS = 30.0  # for a client to read a batch

STALLED = Count("streams_stalled", "Streams cut because the client did not read.")


class _StalledError(Exception):
    """The client does not read."""


class JSONLines(StreamingResponse):
    """One JSON object a line (https://jsonlines.org)."""

    media_type = "application/jsonl"

    @classmethod
    def of(cls, model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
        """Return the `responses` of a route that streams `model`, for the OpenAPI document."""
        schema = {"type": "string", "description": f"One {model.__name__} a line."}
        return {200: {"content": {cls.media_type: {"schema": schema}}}}

    async def stream_response(self, send: Send) -> None:
        """Send it, and cut it where the client stops reading."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await send(message)
            except TimeoutError as error:
                raise _StalledError from error

        try:
            await super().stream_response(send_in_time)
        except _StalledError:
            STALLED.add()
            logger.warning("a stream was cut: its client did not read for %g s", STALL_SECONDS)


async def json_lines(batches: AsyncGenerator[Sequence[BaseModel], int]) -> JSONLines:
    """Return the answer that streams batches of rows.

    With `limit = yield batch` a generator gets the rows of the next one: `BATCH_BYTES` of them. A
    client that stops reading holds a batch.

    The first batch is read before the answer begins, so that a database that does not
    answer still becomes an error. Later ones can only cut the stream.
    """
    first = await anext(batches, None)

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal first
        batch, first = first, None  # while the client reads, only the bytes are held
        while batch is not None:
            lines, rows = _lines(batch), len(batch)
            batch = None
            yield lines
            with suppress(StopAsyncIteration):
                batch = await batches.asend(max(1, rows * BATCH_BYTES // max(1, len(lines))))

    return JSONLines(chunks())


def _lines(rows: Sequence[BaseModel]) -> bytes:
    return b"".join(row.__pydantic_serializer__.to_json(row, by_alias=True) + b"\n" for row in rows)
