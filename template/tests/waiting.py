"""Waiting for a state or an event, never for a time: a busy machine may be slow."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HANG = 30.0  # seconds, after which a test hangs; far more than a slow machine takes


async def until(reached: Callable[[], object]) -> None:
    """Return when a condition holds.

    Raises:
        TimeoutError: if it does not hold within `HANG` seconds.
    """
    async with asyncio.timeout(HANG):
        while not reached():  # noqa: ASYNC110  (a state has no event)
            await asyncio.sleep(0.005)


@contextmanager
def no_hang() -> Iterator[None]:
    """Raise TimeoutError in code that blocks or computes for more than `HANG` seconds."""

    def fail(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, fail)
    left, _ = signal.setitimer(signal.ITIMER_REAL, HANG)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)  # of those that run the tests
