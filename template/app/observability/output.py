"""Standard error, as logs write to it: never waiting for its reader.

A reader that stalls lets a pipe run full, and the next write would stop the event loop. What does
not fit is kept, up to a limit, and then dropped and counted.
"""

import logging
import os
import socket
import sys
from contextlib import suppress
from functools import lru_cache
from stat import S_ISFIFO, S_ISSOCK
from typing import Protocol

from app.observability.counts import Count

logger = logging.getLogger(__name__)

DROPPED = Count("log_lines_dropped", "Lines of the log that nobody read in time.")

MOST_KEPT = 1_048_576  # bytes for a reader that is slow for a moment


class Stream(Protocol):
    """What a handler of logs writes to."""

    def write(self, text: str, /) -> object:
        """Write."""

    def flush(self) -> object:
        """Write what was kept."""


def standard_error() -> Stream:
    """Return standard error; where it is a pipe or a socket, one that does not wait."""
    stream = sys.stderr
    if stream is not sys.__stderr__ or stream is None:
        return stream
    about = os.fstat(stream.fileno())
    if not (S_ISFIFO(about.st_mode) or S_ISSOCK(about.st_mode)):
        return stream  # a file or a terminal
    return _output(stream.fileno(), about.st_ino)


class Output:
    """Writes lines to a pipe or a socket that may be full.

    Args:
        file: its descriptor, which stays as it is: other processes may have it too.
    """

    def __init__(self, file: int) -> None:
        self._kept = b""
        self._dropped = 0
        self._socket: socket.socket | None = None
        self._file = file
        if S_ISSOCK(os.fstat(file).st_mode):
            self._socket = socket.socket(fileno=os.dup(file))
            return
        with suppress(OSError):  # where there is no such folder, as on macOS
            self._file = os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_NONBLOCK)

    def write(self, text: str) -> None:
        """Write whole lines, or drop them."""
        self.flush()
        data = text.encode(errors="backslashreplace")
        if self._kept and (self._dropped or len(self._kept) + len(data) > MOST_KEPT):
            lines = data.count(b"\n")
            DROPPED.add(number=lines)
            self._dropped += lines
            return
        self._kept += data
        if dropped := self._dropped:
            self._dropped = 0
            logger.warning("%d lines of the log were dropped: nobody read them", dropped)
        self.flush()

    def flush(self) -> None:
        """Write what was kept, as far as it fits."""
        try:
            while self._kept:
                self._kept = self._kept[self._write(self._kept) :]
        except BlockingIOError:
            return
        except OSError:  # nobody will read it any more
            self._kept = b""
            raise

    def _write(self, data: bytes) -> int:
        if self._socket:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(self._file, data)


@lru_cache(maxsize=1)
def _output(file: int, _inode: int) -> Output:
    return Output(file)
