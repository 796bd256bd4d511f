"""A memo executes once for all who ask, and keeps the value for its time."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import signature
from typing import TypeVar

import pytest

from app.caching import memo as module
from app.caching.memo import memo
from tests.waiting import until

T = TypeVar("T")

SECONDS = 60


class Clock:
    """The time, which goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """What is asked: it counts how often, and can fail or be slow."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancelled = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.may_stop = asyncio.Event()  # when it is cancelled
        self.may_stop.set()

    async def ask(self, word: str) -> str:
        self.asked.append(word)
        number = len(self.asked)
        try:
            await self.open.wait()
            if self.error is not None:
                raise self.error
            return f"{word} {number}"
        except asyncio.CancelledError:
            await self.may_stop.wait()
            self.cancelled += 1
            raise


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
async def source() -> Source:
    return Source()


async def begun(call: Callable[[str], Awaitable[T]], word: str) -> asyncio.Task[T]:
    """Give a call that waits already."""

    async def run() -> T:
        return await call(word)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_fifty_concurrent_calls_are_one_execution(source: Source) -> None:
    ask = memo(seconds=SECONDS)(source.ask)

    answers = await asyncio.gather(*(ask("tea") for _ in range(50)))

    assert answers == ["tea 1"] * 50
    assert source.asked == ["tea"]


async def test_a_value_is_kept_for_its_time_and_then_renewed(source: Source, clock: Clock) -> None:
    ask = memo(seconds=SECONDS)(source.ask)

    answers = []
    for _ in range(4):
        answers.append(await ask("tea"))
        clock.now += 25

    assert answers == ["tea 1", "tea 1", "tea 1", "tea 2"]


async def test_its_time_begins_when_it_is_there(source: Source, clock: Clock) -> None:
    ask = memo(seconds=SECONDS)(source.ask)
    source.open.clear()
    slow = await begun(ask, "tea")
    clock.now += 2 * SECONDS
    source.open.set()

    assert await slow == await ask("tea") == "tea 1"


async def test_none_is_a_value_too() -> None:
    executed = 0

    @memo(seconds=SECONDS)
    async def nothing() -> None:
        nonlocal executed
        executed += 1

    await nothing()
    await nothing()

    assert executed == 1


async def test_arguments_are_told_apart() -> None:
    @memo(seconds=SECONDS)
    async def echo(*words: object, **more: object) -> object:
        return words, more

    assert await echo("a", "b") == (("a", "b"), {})
    assert await echo("b", "a") == (("b", "a"), {})
    assert await echo("a", b=1) == (("a",), {"b": 1})
    assert await echo("a", b=2) == (("a",), {"b": 2})
    assert await echo(("a",), (("b", 1),)) == ((("a",), (("b", 1),)), {})


async def test_an_exception_is_for_those_who_wait_and_not_kept(source: Source) -> None:
    ask = memo(seconds=SECONDS)(source.ask)
    source.error = ValueError("no tea")

    answers = await asyncio.gather(*(ask("tea") for _ in range(50)), return_exceptions=True)

    assert answers == [source.error] * 50
    assert len(source.asked) == 1
    source.error = None
    assert await ask("tea") == "tea 2"


@pytest.mark.parametrize("leaver", [0, 1, 2])
async def test_a_cancelled_caller_does_not_take_the_others_with_it(
    source: Source, leaver: int
) -> None:
    ask = memo(seconds=SECONDS)(source.ask)
    source.open.clear()
    callers = [await begun(ask, "tea") for _ in range(3)]

    callers[leaver].cancel()
    await asyncio.wait([callers[leaver]])
    source.open.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)

    assert isinstance(answers.pop(leaver), asyncio.CancelledError)
    assert answers == ["tea 1"] * 2
    assert await ask("tea") == "tea 1"


async def test_when_all_callers_are_cancelled_the_work_is(source: Source) -> None:
    ask = memo(seconds=SECONDS)(source.ask)
    source.open.clear()
    callers = [await begun(ask, "tea") for _ in range(3)]

    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)

    await until(lambda: source.cancelled)
    assert source.cancelled == 1


async def test_who_comes_while_a_cancelled_call_cleans_up_is_one_execution(source: Source) -> None:
    ask = memo(seconds=SECONDS)(source.ask)
    source.open.clear()
    source.may_stop.clear()
    given_up = await begun(ask, "tea")
    given_up.cancel()
    await asyncio.wait([given_up])

    callers = [await begun(ask, "tea") for _ in range(25)]
    source.may_stop.set()
    await until(lambda: source.cancelled)
    assert source.cancelled == 1
    callers += [await begun(ask, "tea") for _ in range(25)]
    source.open.set()

    assert await asyncio.gather(*callers) == ["tea 2"] * 50
    assert await ask("tea") == "tea 2"


async def test_what_is_forgotten_is_asked_for_again(source: Source) -> None:
    ask = memo(seconds=SECONDS)(source.ask)
    await ask("tea")
    await ask("milk")

    ask.forget("tea")
    ask.forget("sugar")  # was never there
    assert [await ask("tea"), await ask("milk")] == ["tea 3", "milk 2"]

    ask.clear()
    assert [await ask("tea"), await ask("milk")] == ["tea 4", "milk 5"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_what_was_asked_for_before_it_was_forgotten_is_not_kept(
    order: tuple[int, int],
) -> None:
    ends: list[asyncio.Event] = []

    @memo(seconds=SECONDS)
    async def number(_: str) -> int:
        ends.append(end := asyncio.Event())
        mine = len(ends)
        await end.wait()
        return mine

    before = await begun(number, "tea")
    number.forget("tea")
    after = await begun(number, "tea")
    for which in order:
        ends[which].set()
        await asyncio.wait([(before, after)[which]])

    assert [await before, await after, await number("tea")] == [1, 2, 2]


async def test_only_so_many_are_kept_and_the_one_not_asked_for_longest_goes(
    source: Source,
) -> None:
    ask = memo(seconds=SECONDS, maxsize=2)(source.ask)
    await ask("tea")
    await ask("milk")
    await ask("tea")

    await ask("sugar")

    assert await ask("tea") == "tea 1"
    assert await ask("milk") == "milk 4"


async def test_memory_is_bounded_unless_told_otherwise(source: Source) -> None:
    ask = memo(seconds=SECONDS)(source.ask)

    for number in range(1000):
        await ask(str(number))

    assert len(ask._values) == 256
    assert not ask._flights


def test_another_event_loop_starts_anew() -> None:
    executed = 0

    @memo(seconds=SECONDS)
    async def count() -> int:
        nonlocal executed
        executed += 1
        await asyncio.sleep(0.01)
        return executed

    async def thrice() -> list[int]:
        return [*await asyncio.gather(count(), count()), await count()]

    for number in (1, 2):
        with asyncio.Runner() as runner:
            assert runner.run(thrice()) == [number] * 3


async def test_it_still_tells_what_it_is() -> None:
    @memo(seconds=SECONDS)
    async def get_rates(currency: str) -> float:
        """Ask the bank."""
        return len(currency)

    assert get_rates.__doc__ == "Ask the bank."
    assert list(signature(get_rates).parameters) == ["currency"]


@pytest.mark.parametrize(("seconds", "maxsize"), [(0, 1), (-1, 1), (float("nan"), 1), (1, 0)])
def test_a_memo_that_keeps_nothing_is_refused(seconds: float, maxsize: int) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        memo(seconds=seconds, maxsize=maxsize)
