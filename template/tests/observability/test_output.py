"""Logs when nobody reads them."""

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.observability import output
from app.observability.logs import BatchHandler, JSONFormatter
from app.observability.output import DROPPED, Output
from tests.waiting import no_hang

PROJECT = Path(__file__).parent.parent.parent
Ends = tuple[int, int]


@pytest.fixture(params=[os.pipe, lambda: tuple(s.detach() for s in socket.socketpair())])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """The two ends of a pipe and of a socket, to read from and to write to."""
    made: Callable[[], Ends] = request.param
    ends = made()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


@pytest.fixture
def handler(ends: Ends) -> Iterator[BatchHandler]:
    stream = Output(ends[1])
    handler = BatchHandler(stream)
    handler.setFormatter(JSONFormatter())
    with no_hang():  # as one does that waits for its reader
        yield handler
    if stream._socket:
        stream._socket.close()
    else:
        os.close(stream._file)


def say(handler: BatchHandler, message: str) -> None:
    handler.handle(logging.LogRecord("shop", logging.INFO, "", 0, message, None, None))


def read(file: int) -> bytes:
    """Read what is there."""
    os.set_blocking(file, False)
    data = b""
    with suppress(BlockingIOError):
        while chunk := os.read(file, 65536):
            data += chunk
    return data


def messages(data: bytes) -> list[str]:
    return [json.loads(line)["message"] for line in data.splitlines()]


def test_who_logs_never_waits_for_a_reader(
    handler: BatchHandler, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MOST_KEPT", 100_000)
    DROPPED.take_new()

    for number in range(20_000):
        say(handler, f"line {number}")

    (dropped,) = DROPPED.take_new().values()
    logging.getLogger().addHandler(handler)
    lines = b""
    while more := read(ends[0]):
        lines += more
        handler.flush()
    logging.getLogger().removeHandler(handler)
    assert messages(lines) == [
        *(f"line {number}" for number in range(20_000 - dropped)),
        f"{dropped} lines of the log were dropped: nobody read them",
    ]


def test_what_a_slow_reader_leaves_comes_later(handler: BatchHandler, ends: Ends) -> None:
    said = ["x" * 300_000, "next"]
    for message in said:
        say(handler, message)

    lines = b""
    while more := read(ends[0]):
        lines += more
        handler.flush()

    assert messages(lines) == said


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_logs_leave_the_pipe_as_it_is_for_others(log_format: str) -> None:
    code = (
        "import logging, os\n"
        "from app.observability.logs import configure_logging\n"
        "from app.observability.output import Output\n"
        "from app.settings import Settings\n"
        f"configure_logging(Settings(log_format={log_format!r}))\n"
        "logging.warning('a line')\n"
        "(handler,) = logging.getLogger().handlers\n"
        "assert isinstance(handler.stream, Output)\n"
        "assert os.get_blocking(2)\n"
    )
    reading, writing = os.pipe()
    subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", code],
        check=True,
        stderr=writing,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )

    assert b"a line" in os.read(reading, 1000)
    os.close(reading)
    os.close(writing)


def test_a_reader_that_is_gone_fails_nothing(handler: BatchHandler, ends: Ends) -> None:
    os.close(ends[0])

    for _ in range(3):
        say(handler, "nobody is there")
