"""Past its deadline a request gets a 504, and gives back what it held."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import await_only
from starlette.types import Message, Scope

from app.database import Database, Reads, WriteSession
from tests.waiting import HANG

DEADLINE = 1.0  # seconds: a busy machine takes tenths of one


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, app: FastAPI) -> FastAPI:
    @app.get("/sleep/{seconds}")
    async def sleep(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "rested"

    @app.get("/broken")
    async def broken() -> None:
        raise TimeoutError

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"."
                await asyncio.sleep(DEADLINE)

        return StreamingResponse(parts())

    @app.get("/writes")
    async def write(session: WriteSession, reads: Reads) -> None:
        await session.execute(text("SELECT 1"))
        await asyncio.sleep(3 * DEADLINE)

    return app


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    monkeypatch.setenv("REQUEST_DEADLINE", str(DEADLINE))
    return settings


async def test_a_late_request_is_told_so(client: AsyncClient) -> None:
    async with asyncio.timeout(HANG):
        response = await client.get("/sleep/60")

    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "There was no answer within 1 s."
    assert response.headers["x-request-id"]


async def test_others_are_not(client: AsyncClient) -> None:
    assert (await client.get("/sleep/0.01")).status_code == 200
    assert (await client.get("/broken")).status_code == 500  # a timeout of another's


async def test_an_answer_that_has_begun_may_take_its_time(client: AsyncClient) -> None:
    response = await client.get("/stream")

    assert (response.status_code, response.content) == (200, b"...")


async def test_a_statement_of_the_flush_is_no_commit_yet(
    client: AsyncClient, app: FastAPI, state: dict[str, Any]
) -> None:
    """An ORM session sends what was changed when the route has returned: that may wait for a lock."""
    committed: list[Any] = []

    @app.get("/flushes")
    async def flush(session: WriteSession) -> str:
        event.listen(session.sync_session, "before_commit", committed.append)
        session.flush = partial(asyncio.sleep, 9)  # type: ignore[method-assign]
        return "done"

    assert (await client.get("/flushes")).status_code == 504
    assert not committed


async def test_a_thread_goes_on_and_others_are_answered(
    client: AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    release, went_on = threading.Event(), threading.Semaphore(0)
    begun: list[int] = []
    threads = int(current_default_thread_limiter().total_tokens)

    @app.get("/threads/{number}")
    def wait(number: int) -> None:
        if number:
            begun.append(number)
            release.wait()
            went_on.release()

    try:
        async with asyncio.timeout(2 * HANG):
            late = await asyncio.gather(*(client.get("/threads/1") for _ in range(threads + 1)))
            others = [await client.get(path) for path in ("/threads/0", "/health/live")]
    finally:
        release.set()

    assert {response.status_code for response in late} == {504}
    assert [response.status_code for response in others] == [200, 200]
    assert begun
    for _ in begun:
        assert went_on.acquire(timeout=HANG)
    told = [record.getMessage() for record in caplog.records if "a thread" in record.getMessage()]
    assert len(told) == 1
    assert "/threads/{number}" in told[0]


async def test_a_client_that_leaves_is_no_late_one(app: FastAPI, state: dict[str, Any]) -> None:
    scope: Scope = {
        **{"type": "http", "method": "GET", "path": "/sleep/60", "raw_path": b"/sleep/60"},
        **{"query_string": b"", "root_path": "", "headers": [], "state": dict(state)},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    request = asyncio.create_task(app(scope, receive, send))
    await asyncio.sleep(DEADLINE / 4)
    request.cancel()

    with pytest.raises(asyncio.CancelledError):
        await request
    assert not sent


async def test_its_connection_and_its_place_are_given_back(
    client: AsyncClient, state: dict[str, Any]
) -> None:
    database: Database = state["database"]
    for _ in range(database.writes.gate.size + 1):
        assert (await client.get("/writes")).status_code == 504

    gate = database.writes.gate
    assert gate.free == gate.size
    async with database.writes.session() as session:
        await session.execute(text("SELECT 1"))


async def test_a_commit_is_not_cut_off(
    client: AsyncClient, app: FastAPI, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 504 must not stand for something that was done."""
    committed: list[AsyncSession] = []

    async def commit(session: AsyncSession) -> None:
        await asyncio.sleep(2 * DEADLINE)
        committed.append(session)

    @app.get("/commits")
    async def commits(session: WriteSession) -> str:
        await session.execute(text("SELECT 1"))

        @event.listens_for(session.sync_session, "before_commit")
        def slow(_: Any) -> None:
            session.sync_session.connection()  # in the middle of the transaction
            await_only(commit(session))

        return "done"

    response = await client.get("/commits")

    assert (response.status_code, len(committed)) == (200, 1)
