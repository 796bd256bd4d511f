"""A memo: what an async function returned, kept in this process for a time.

    @memo(seconds=60)
    async def get_rates(currency: str) -> Rates: ...

    rates = await get_rates("EUR")  # one execution, however many ask at once
    get_rates.forget("EUR")  # after a change, which other processes see in 60 s at the latest

The value may depend on the arguments only, not on who asks first. All callers share the one
object, so nobody may change it. An exception goes to those who wait and is not kept.

This is not `async_lru`, because its release 2.4.0
- removes by key what a call that was cancelled or forgotten has left, and so takes away the
  newer call under that key: one cancelled call, then 50 at once, were 2 executions;
- warns when the event loop is another one, at each call where warnings are errors, as in tests.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial, update_wrapper
from time import monotonic
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class _Flight(Generic[R]):
    """An execution, and how many callers wait for it."""

    task: asyncio.Task[R]
    callers: int = 0


class Memo(Generic[P, R]):
    """An async function that remembers; see `memo`. For one event loop at a time."""

    def __init__(
        self, function: Callable[P, Coroutine[Any, Any, R]], seconds: float, maxsize: int
    ) -> None:
        self._function = function
        self._seconds = seconds
        self._maxsize = maxsize
        self._values: OrderedDict[Hashable, tuple[float, R]] = OrderedDict()
        self._flights: dict[Hashable, _Flight[R]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        update_wrapper(self, function)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what an earlier loop has begun never ends here
            self.clear()
            self._loop = loop
        key = _key(args, kwargs)
        kept = self._values.get(key)
        if kept is not None and monotonic() < kept[0]:
            self._values.move_to_end(key)
            return kept[1]
        flight = self._flights.get(key)
        if flight is None:
            # A task of its own: a caller that is cancelled must not take the others with it.
            flight = _Flight(loop.create_task(self._function(*args, **kwargs)))
            flight.task.add_done_callback(partial(self._land, key, flight))
            self._flights[key] = flight
        flight.callers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.callers -= 1
            if not flight.callers and not flight.task.done():  # nobody wants it any more
                self._leave(key, flight)
                flight.task.cancel()

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Execute the next call with these arguments, even if one is under way."""
        key = _key(args, kwargs)
        self._values.pop(key, None)
        self._flights.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._flights.clear()

    def _land(self, key: Hashable, flight: _Flight[R], task: asyncio.Task[R]) -> None:
        current = self._leave(key, flight)
        if not current or task.cancelled() or task.exception() is not None:
            return
        self._values[key] = (monotonic() + self._seconds, task.result())
        self._values.move_to_end(key)
        if len(self._values) > self._maxsize:
            self._values.popitem(last=False)

    def _leave(self, key: Hashable, flight: _Flight[R]) -> bool:
        """Take a flight out, and tell whether it was still the one under its key."""
        current = self._flights.get(key) is flight
        if current:
            del self._flights[key]
        return current


def memo(
    *, seconds: float, maxsize: int = 256
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Memo[P, R]]:
    """Let a function of a module remember what it returned.

    Its arguments must be hashable, and are told apart as the keys of a dictionary are.

    Args:
        seconds: how long a value is kept, from the end of the call that gave it.
        maxsize: how many values are kept; the one that was not asked for longest goes first.

    Raises:
        ValueError: when nothing could be kept.
    """
    if not (seconds > 0 and maxsize > 0):
        raise ValueError("A memo keeps at least one value, for some time.")
    return lambda function: Memo(function, seconds, maxsize)


def _key(args: tuple[object, ...], kwargs: dict[str, object]) -> Hashable:
    return args, tuple(sorted(kwargs.items())) if kwargs else ()
