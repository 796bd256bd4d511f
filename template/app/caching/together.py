"""What several requests ask of a server in one turn of the event loop, asked in one go."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Call = Sequence[Any]

MAX_CALLS = 32  # in one go: a large answer must not hold up all others


class Together:
    """Collects calls until the loop's next turn.

    Args:
        run: makes some calls and returns their results in the same order, or the exceptions
            of single ones.
    """

    def __init__(self, run: Callable[[list[Call]], Awaitable[list[Any]]]) -> None:
        self._run = run
        self._waiting: list[tuple[Call, asyncio.Future[Any]]] = []
        self._running: set[asyncio.Task[None]] = set()

    def call(self, call: Call) -> asyncio.Future[Any]:
        """Return the result of a call, or what `run` raises, which is for all of its calls."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._start)
        self._waiting.append((call, future))
        return future

    def _start(self) -> None:
        # A task of its own: a request that is cancelled takes nobody's answer with it.
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MAX_CALLS):
            part = waiting[first : first + MAX_CALLS]
            task = asyncio.get_running_loop().create_task(self._finish(part))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _finish(self, waiting: list[tuple[Call, asyncio.Future[Any]]]) -> None:
        try:
            results = await self._run([call for call, _ in waiting])
        except Exception as error:
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # it was told, whoever waits
        else:
            for (_, future), result in zip(waiting, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                    future.exception()
                else:
                    future.set_result(result)
