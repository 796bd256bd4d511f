"""Computations in other processes, while this one serves."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app import process_pool
from app.database import BusyError, Database
from app.errors import ProblemError
from app.process_pool import Processes, ProcessPool, ProcessPoolSettings
from app.process_work import compute
from tests.computations import compute_for, die, fail, process_until, swallow
from tests.waiting import HANG, until


@pytest.fixture
def processes_when_needed() -> None:
    """They are there from the start."""


@asynccontextmanager
async def opened(database: Database, **limits: Any) -> AsyncIterator[ProcessPool]:
    patient = {"workers": 2, "wait": 2 * HANG, "timeout": 2 * HANG}
    pool = ProcessPool(ProcessPoolSettings(**{**patient, **limits}))
    async with pool.opened(database):
        yield pool


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[ProcessPool]:
    async with opened(database) as pool:
        yield pool


async def test_others_are_answered_while_it_computes(
    client: AsyncClient, app: FastAPI, tmp_path: Path
) -> None:
    begun, may_end = tmp_path / "begun", tmp_path / "may end"

    @app.get("/computed")
    async def computed(processes: Processes) -> int:
        return await processes.run(process_until, str(begun), str(may_end))

    computing = asyncio.create_task(client.get("/computed"))
    await until(begun.exists)
    for _ in range(3):
        assert (await client.get("/health/live")).status_code == 200
    assert not computing.done()
    may_end.touch()

    # A thread of this process would hold the interpreter's lock again and again.
    assert (await computing).json() != os.getpid()


async def test_its_processes_are_there_from_the_start(database: Database) -> None:
    async with opened(database) as pool:
        assert len(active_children()) == 2
        assert await pool.run(os.getpid) in {child.pid for child in active_children()}

    assert not active_children()


async def test_without_shared_memory_it_says_what_it_needs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # as sem_open does

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refuse)

    with pytest.raises(RuntimeError, match="needs a writable /dev/shm"):
        async with opened(database):
            pass


async def test_a_failure_is_the_callers(pool: ProcessPool) -> None:
    with pytest.raises(LookupError, match="nothing there"):
        await pool.run(fail)

    assert pool.gate.free == 2


async def test_a_process_that_dies_is_a_503_and_is_replaced(pool: ProcessPool) -> None:
    calls = [pool.run(die), pool.run(compute_for, 9)]

    for failed in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(failed, ProblemError)
        assert (failed.status_code, failed.headers) == (503, {"Retry-After": "1"})

    assert await pool.run(compute_for, 0) == 0
    assert pool.gate.free == 2


@pytest.mark.parametrize("function", [compute_for, swallow])
async def test_what_takes_too_long_is_a_504_and_stops(
    database: Database, function: Callable[[float], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(database, workers=1) as pool:
        process = await pool.run(os.getpid)
        with monkeypatch.context() as patch:
            patch.setattr(pool, "_seconds", 0.2)
            with pytest.raises(ProblemError, match=r"more than 0\.2 s") as caught:
                await pool.run(function, 9)

        assert caught.value.status_code == 504
        assert await pool.run(os.getpid) == process
        assert await pool.run(compute_for, 0.05) == 0.05


def test_a_process_that_has_nothing_to_do_is_in_time() -> None:
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    try:
        compute(60, os.getpid, (), {})

        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)


async def test_who_finds_too_many_waiting_is_told_to_come_back(database: Database) -> None:
    async with opened(database, workers=1, queue=1) as pool:
        calls = [pool.run(compute_for, 0.1) for _ in range(3)]

        *answers, last = await asyncio.gather(*calls, return_exceptions=True)

    assert answers == [0.1, 0.1]
    assert isinstance(last, BusyError)


async def test_the_place_of_a_caller_that_left_is_taken_until_it_is_done(
    database: Database, tmp_path: Path
) -> None:
    begun, may_end = tmp_path / "begun", tmp_path / "may end"
    async with opened(database, workers=1) as pool:
        call = asyncio.create_task(pool.run(process_until, str(begun), str(may_end)))
        await until(begun.exists)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.sleep(0)

        assert pool.gate.free == 0
        may_end.touch()
        await until(lambda: pool.gate.free == 1)
        assert await pool.run(compute_for, 0) == 0


@pytest.mark.parametrize(
    ("given", "servers", "workers"), [(None, "", 8), (None, "3", 2), (None, "9", 1), (5, "3", 5)]
)
def test_the_number_of_processes(
    monkeypatch: pytest.MonkeyPatch, given: int | None, servers: str, workers: int
) -> None:
    monkeypatch.setattr(process_pool, "cpus", lambda: 8)
    monkeypatch.setenv("WEB_CONCURRENCY", servers)

    assert ProcessPool(ProcessPoolSettings(workers=given)).workers == workers


SERVICE = """
import asyncio, os

async def main():
    from app.process_pool import ProcessPool, ProcessPoolSettings

    pool = ProcessPool(ProcessPoolSettings(workers=1))
    async with pool.opened(None):
        print(await pool.run(os.getpid), flush=True)
        await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_service_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    project = Path(__file__).parent.parent
    service = await asyncio.create_subprocess_exec(
        sys.executable,
        tmp_path / "service.py",
        env={**os.environ, "PYTHONPATH": str(project)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert service.stdout
    process = int(await service.stdout.readline())
    try:
        service.send_signal(signal.SIGKILL)

        async with asyncio.timeout(HANG):
            assert not await service.stdout.read()  # its end: the last that had it open is gone
        await service.wait()
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
