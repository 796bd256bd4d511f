"""Waiting for a state or an event, never for a time: a busy machine may be slow."""

import asyncio
from collections.abc import Callable

HANG = 30.0  # seconds, after which a test hangs; far more than a slow machine takes


async def until(reached: Callable[[], object]) -> None:
    """Return when a condition holds.

    Raises:
        TimeoutError: if it does not hold within `HANG` seconds.
    """
    async with asyncio.timeout(HANG):
        while not reached():  # noqa: ASYNC110  (a state has no event)
            await asyncio.sleep(0.005)
