"""A service that was told to stop says so before it stops."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.database import DatabaseSettings
from app.draining import stopping
from app.main import create_app
from tests.waiting import until

DRAIN = 600.0  # seconds


@pytest.fixture
def app(settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setenv("DRAIN_SECONDS", str(DRAIN))
    return create_app(settings)


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that the service sent itself, of which nothing else comes."""
    signals: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", signals.append)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it must not end the tests
    yield signals
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What the service does when its time to drain is over: tests do not wait for that."""
    ends: list[Callable[[], object]] = []
    loop = asyncio.get_running_loop()
    call_later: Any = loop.call_later

    def note(seconds: float, callback: Callable[..., object], *args: Any, **more: Any) -> Any:
        if seconds == DRAIN:
            return ends.append(partial(callback, *args))
        return call_later(seconds, callback, *args, **more)

    monkeypatch.setattr(loop, "call_later", note)
    return ends


async def test_it_is_not_ready_but_live_until_it_stops(
    raised: list[int], ends: list[Callable[[], object]], client: AsyncClient
) -> None:
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert "connection" not in answer.headers

    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
        await until(stopping.is_set)
        for _ in range(10):  # turns of the loop, in which the signal is handled
            await asyncio.sleep(0)

    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["detail"]) == (503, "The service is stopping.")
    answer = await client.get("/health/live")
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"  # who asks on finds another
    assert raised == []
    (end,) = ends
    end()
    assert raised == [signal.SIGINT]


async def test_without_a_time_the_signal_is_the_servers(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DRAIN_SECONDS", raising=False)
    app, before = create_app(settings), signal.getsignal(signal.SIGTERM)

    async with app.router.lifespan_context(app):
        assert signal.getsignal(signal.SIGTERM) is before
