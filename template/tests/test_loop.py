"""What holds up the event loop holds up everybody: it is found here, not in production."""

import asyncio
import time

import pytest
from blockbuster import BlockingError
from fastapi import FastAPI
from httpx2 import AsyncClient

from tests.conftest import HELD


def helper() -> None:
    time.sleep(0.001)


async def test_a_blocking_call_is_found_in_a_helper_too(
    client: AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/blocks")
    async def block() -> None:
        helper()

    @app.get("/waits")
    def wait() -> None:  # without async it runs in a thread
        helper()

    assert (await client.get("/waits")).status_code == 200
    assert (await client.get("/blocks")).status_code == 500
    (error,) = [record.exc_info for record in caplog.records if record.exc_info]
    assert isinstance(error[1], BlockingError)


async def test_a_long_computation_is_found_in_debug_mode(caplog: pytest.LogCaptureFixture) -> None:
    async def compute() -> None:
        end = time.perf_counter() + HELD + 0.05
        while time.perf_counter() < end:
            pass

    asyncio.get_running_loop().set_debug(True)
    await asyncio.create_task(compute())
    asyncio.get_running_loop().set_debug(False)
    await asyncio.sleep(0)

    steps = [record.args for record in caplog.get_records("call") if record.name == "asyncio"]
    assert "compute" in str(steps)
    caplog.clear()  # or the fixture that looks for such steps fails this test
