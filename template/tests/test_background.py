"""Work after the answer."""

import logging
from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.background import FAILURES, Background
from app.database import Database, WriteSession
from app.observability.context import FinishedRequest, current_request
from app.observability.finished import finished_requests


class Done:
    """What was done, and what was the state of things then."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.words: list[str] = []
        self.free_before: int | None = None
        self.rested_at = 0.0  # seconds after the request came

    async def note(self, word: str) -> None:
        self.words.append(word)
        self.free_before = self.database.writes.gate.free

    async def fail(self) -> None:
        raise LookupError("nothing there")

    async def write(self, session: AsyncSession, word: str) -> None:
        await session.execute(text("SELECT 1"))
        self.words.append(f"{word} in a session")

    async def rest(self) -> None:
        request = current_request.get()
        assert request
        self.rested_at = perf_counter() - request.started


@pytest.fixture
def done(app: FastAPI, state: dict[str, Any]) -> Done:
    done = Done(state["database"])

    @app.get("/several")
    async def several(background: Background) -> str:
        background.add(done.fail)
        background.add_write(done.write, word="written")
        background.add(done.note, "noted")
        return "answered"

    @app.get("/writes")
    async def write(session: WriteSession, background: Background) -> str:
        await session.execute(text("SELECT 1"))
        background.add(done.note, "noted")
        background.add_write(done.write, "written")
        return "answered"

    @app.get("/fails")
    async def fails(background: Background) -> str:
        background.add(done.note, "noted")
        raise LookupError

    @app.get("/rests")
    async def rests(background: Background) -> str:
        background.add(done.rest)
        return "answered"

    return done


async def test_a_failure_is_logged_and_counted_and_drops_nothing(
    client: AsyncClient,
    done: Done,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: Counter[str] = Counter()
    monkeypatch.setattr(FAILURES, "add", lambda name: failures.update([name]))
    with caplog.at_level(logging.ERROR):
        response = await client.get("/several")

    assert response.json() == "answered"
    assert done.words == ["written in a session", "noted"]
    assert failures == {"Done.fail": 1}
    (record,) = caplog.records
    assert record.getMessage() == "Done.fail failed after the answer"
    assert record.exc_info
    assert record.exc_info[0] is LookupError


async def test_it_belongs_to_its_request(client: AsyncClient, app: FastAPI) -> None:
    ids: list[str | None] = []

    async def note() -> None:
        request = current_request.get()
        ids.append(request.id if request else None)

    @app.get("/noted")
    async def noted(background: Background) -> None:
        background.add(note)

    response = await client.get("/noted")

    assert ids == [response.headers["x-request-id"]]


async def test_the_requests_own_session_is_given_back_before(
    client: AsyncClient, done: Done
) -> None:
    assert (await client.get("/writes")).status_code == 200

    assert done.words == ["noted", "written in a session"]
    assert done.free_before == done.database.writes.gate.size


async def test_a_request_that_fails_has_no_work_after_it(client: AsyncClient, done: Done) -> None:
    assert (await client.get("/fails")).status_code == 500

    assert not done.words


async def test_its_time_is_not_the_requests(client: AsyncClient, done: Done) -> None:
    told: list[float] = []

    def listen(requests: Sequence[FinishedRequest]) -> None:
        told.extend(request.seconds for request in requests)

    finished_requests.listeners.append(listen)
    await client.get("/rests")
    finished_requests.flush()
    finished_requests.listeners.remove(listen)

    (seconds,) = told
    assert 0 < seconds <= done.rested_at  # it ended before the work began
