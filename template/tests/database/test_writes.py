"""The write road: what is answered has been committed, and nothing else is kept."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Column, Integer, MetaData, String, Table, event, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import await_only

from app.database import Database, DatabaseSettings, Query, Reads, WriteSession, writes
from app.database.reads import ReadRoad
from app.database.writes import ConflictError
from app.observability.logs import JSONFormatter, TextFormatter
from tests.database.scratch import existing
from tests.waiting import HANG

counters = Table("counters", MetaData(), Column("value", Integer, nullable=False))
VALUE = Query(select(counters.c.value))


@pytest.fixture(autouse=True)
async def _counter(database: Database) -> AsyncIterator[None]:
    async with existing(database, counters):
        async with database.writes.session() as session:
            await session.execute(insert(counters).values(value=0))
        yield


async def value(reads: ReadRoad) -> int:
    row = await reads.one(VALUE)
    assert row
    found: int = row["value"]
    return found


async def test_concurrent_increments_are_all_kept(database: Database) -> None:
    async def increment() -> None:
        async with database.writes.session() as session:
            found = (await session.execute(select(counters.c.value).with_for_update())).scalar_one()
            await session.execute(update(counters).values(value=found + 1))

    await asyncio.gather(*(increment() for _ in range(30)))

    assert await value(database.reads) == 30


@pytest.mark.parametrize("how", ["at the end", "by itself, then fails", "without an answer"])
async def test_who_listens_hears_of_every_commit(database: Database, how: str) -> None:
    told: list[AsyncSession] = []

    async def listen(session: AsyncSession) -> None:
        told.append(session)

    def lose_the_answer(_: object) -> None:
        raise ConnectionResetError

    async def write() -> None:
        async with database.writes.session() as session:
            await session.execute(update(counters).values(value=7))
            if how == "by itself, then fails":
                await session.commit()
                raise ConnectionResetError
            if how == "without an answer":
                event.listen(session.sync_session, "before_commit", lose_the_answer)

    database.writes.after_commit.append(listen)
    with suppress(ConnectionResetError):
        await write()
    assert len(told) == 1
    with suppress(RuntimeError):
        async with database.writes.session() as session:
            async with session.begin_nested():
                await session.execute(update(counters).values(value=8))
            raise RuntimeError
    database.writes.after_commit.remove(listen)

    assert len(told) == 1  # nothing was committed


async def test_a_failed_session_keeps_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(update(counters).values(value=7))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert await value(database.reads) == 0


async def test_a_session_in_a_session_is_an_error(database: Database) -> None:
    async with database.writes.session():
        with pytest.raises(RuntimeError, match="open already"):
            async with database.writes.session():
                pass

    async with database.writes.session():  # one after the other is none
        pass


async def test_a_task_that_outlives_the_session_may_open_its_own(database: Database) -> None:
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        async with database.writes.session() as session:
            await session.execute(update(counters).values(value=7))

    async with database.writes.session():
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    ended.set()
    await task

    assert await value(database.reads) == 7


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/set/{new}")
    async def set_value(new: int, session: WriteSession) -> None:
        await session.execute(update(counters).values(value=new))

    @app.post("/both/{new}")
    async def write_and_read(new: int, session: WriteSession, reads: Reads) -> None:
        await session.execute(update(counters).values(value=new))
        await value(reads)

    app.state.may_end = asyncio.Event()

    @app.post("/slow")
    async def slow(session: WriteSession) -> None:
        await app.state.may_end.wait()

    return app


async def test_a_commit_that_fails_is_an_error_for_the_client(
    client: AsyncClient, state: dict[str, Database], database: Database
) -> None:
    @event.listens_for(state["database"].writes.engine.sync_engine, "commit")
    def fail(_: Connection) -> None:
        raise RuntimeError("the disk is full")

    response = await client.post("/set/7")

    assert response.status_code == 500
    assert await value(database.reads) == 0


async def test_a_commit_that_is_never_answered_has_an_unknown_outcome(
    client: AsyncClient,
    state: dict[str, Database],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(writes, "COMMIT", 0.2)
    monkeypatch.setattr("app.health.READY_TIMEOUT", HANG)
    road = state["database"].writes

    @event.listens_for(road.engine.sync_engine, "commit")
    def wait(_: Connection) -> None:
        await_only(asyncio.sleep(HANG))

    response = await client.post("/set/7")

    assert response.status_code == 503
    assert "outcome is unknown" in response.json()["detail"]
    assert "retry-after" not in response.headers  # again may be twice
    assert [record for record in caplog.records if "outcome" in record.getMessage()]
    assert road.gate.free == road.gate.size
    ready = await client.get("/health/ready")
    assert ready.status_code == 503 if road.probe else ready.json()["writes"] == "refused"


async def test_an_answer_means_that_it_was_committed(
    client: AsyncClient, database: Database
) -> None:
    assert (await client.post("/set/7")).status_code == 200
    assert await value(database.reads) == 7


class TestSmallPools:
    @pytest.fixture(params=[1, 2])
    def settings(
        self, settings: DatabaseSettings, request: pytest.FixtureRequest
    ) -> DatabaseSettings:
        pools = {"read_pool", "write_pool"} & DatabaseSettings.model_fields.keys()
        return settings.model_copy(update=dict.fromkeys(pools, request.param))

    async def test_both_roads_in_one_request_never_lock_up(self, client: AsyncClient) -> None:
        async with asyncio.timeout(HANG):
            responses = await asyncio.gather(*(client.post(f"/both/{n}") for n in range(40)))

        assert {response.status_code for response in responses} == {200}


class TestSaturation:
    @pytest.fixture
    def settings(self, settings: DatabaseSettings) -> DatabaseSettings:
        pools = {"write_pool"} & DatabaseSettings.model_fields.keys()
        return settings.model_copy(update=dict.fromkeys(pools, 1))

    async def test_a_request_that_waits_too_long_is_told_to_come_back(
        self,
        client: AsyncClient,
        app: FastAPI,
        state: dict[str, Database],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(state["database"].writes.gate, "_timeout", 0.05)
        requests = [asyncio.create_task(client.post("/slow")) for _ in range(2)]
        (refused,), (other,) = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        app.state.may_end.set()

        busy = await refused
        assert (busy.status_code, (await other).status_code) == (503, 200)
        assert busy.headers["retry-after"] == "1"
        assert busy.headers["content-type"] == "application/problem+json"


async def test_an_error_does_not_tell_values(database: Database) -> None:
    words = Table("words", MetaData(), Column("word", String(20), primary_key=True))
    secret = "hun'\nter2"  # noqa: S105

    async def write() -> None:
        async with database.writes.session() as session:
            for _ in range(2):
                await session.execute(insert(words).values(word=secret))

    async with existing(database, words):
        with pytest.raises(ConflictError) as failed:
            await write()

    assert "parameters hidden" in str(failed.value.__cause__)
    error = (failed.type, failed.value, failed.tb)
    record = logging.LogRecord("shop", logging.ERROR, "", 0, "failed", None, error)
    for formatter in (JSONFormatter(), TextFormatter()):
        line = formatter.format(record)
        assert "IntegrityError" in line
        assert "ter2" not in line
