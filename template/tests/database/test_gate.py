"""The gate: first come, first served, and nobody waits for long."""

import asyncio

import pytest

from app.database import BusyError
from app.database.gate import Gate
from tests.waiting import HANG


async def pass_through(gate: Gate, name: int, order: list[int]) -> None:
    async with gate:
        order.append(name)
        await asyncio.sleep(0)


async def test_they_come_in_in_the_order_in_which_they_came() -> None:
    gate = Gate(1, queue=100, timeout=HANG)
    order: list[int] = []

    await asyncio.gather(*(pass_through(gate, name, order) for name in range(50)))

    assert order == list(range(50))
    assert gate.enter_now()


async def test_a_newcomer_does_not_pass_those_who_wait() -> None:
    gate = Gate(1, queue=100, timeout=HANG)
    order: list[int] = []
    await gate.enter()
    waiting = [asyncio.create_task(pass_through(gate, name, order)) for name in (1, 2)]
    await asyncio.sleep(0)

    gate.leave()

    assert not gate.enter_now()  # the place is the first one's already, though he has not run yet
    await pass_through(gate, 3, order)
    await asyncio.gather(*waiting)
    assert order == [1, 2, 3]


async def test_no_more_are_in_than_there_are_places() -> None:
    gate = Gate(3, queue=100, timeout=HANG)
    inside = most = 0

    async def stay() -> None:
        nonlocal inside, most
        async with gate:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(stay() for _ in range(20)))

    assert most == 3


async def test_who_waits_too_long_is_told_so() -> None:
    gate = Gate(1, queue=100, timeout=0.05)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    assert gate.waiting == 1  # it is not refused at once

    async with asyncio.timeout(HANG):
        with pytest.raises(BusyError):
            await waiting

    assert gate.waiting == 0
    gate.leave()
    await gate.enter()  # the place is not lost


async def test_a_full_queue_refuses_at_once() -> None:
    gate = Gate(1, queue=1, timeout=2 * HANG)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)

    async with asyncio.timeout(HANG):
        with pytest.raises(BusyError):
            await gate.enter()

    gate.leave()
    await waiting


@pytest.mark.parametrize("leave_first", [True, False])
async def test_who_is_cancelled_loses_no_place(leave_first: bool) -> None:
    gate = Gate(1, queue=100, timeout=HANG)
    await gate.enter()
    cancelled = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)

    if leave_first:
        gate.leave()  # gives it the place in the moment in which it is cancelled
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    if not leave_first:
        gate.leave()

    assert gate.enter_now()
    assert gate.waiting == 0
