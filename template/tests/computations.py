"""Functions for the process pool to run in tests."""

import os
import signal
from contextlib import suppress
from time import perf_counter


def compute_for(seconds: float) -> float:
    """Compute for so long."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass
    return seconds


def process_after(seconds: float) -> int:
    """Compute for so long, and return the process that did."""
    compute_for(seconds)
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
