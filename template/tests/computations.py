"""Functions for the process pool to run in tests."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from time import perf_counter

from tests.waiting import HANG


def compute_for(seconds: float) -> float:
    """Compute for so long."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass
    return seconds


def process_until(begun: str, may_end: str) -> int:
    """Make one file, compute until there is the other, and return the process that did."""
    Path(begun).touch()
    end = perf_counter() + HANG
    while not os.path.exists(may_end) and perf_counter() < end:
        pass
    return os.getpid()


def swallow(seconds: float) -> float:
    """Compute for so long, whatever goes wrong meanwhile."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        with suppress(Exception):
            compute_for(seconds)
    return seconds


def fail() -> None:
    """Fail."""
    raise LookupError("nothing there")


def die() -> None:
    """Die as a process does that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
