"""The two roads: writes that cannot lose an update, reads that cannot write."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import aiosqlite
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy.exc import OperationalError, StatementError

from app.database import Database, UTCDateTime, WriteSession, open_database
from app.settings import Settings

counters = Table("counters", MetaData(), Column("value", Integer, nullable=False))


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        async with database.sessions.begin() as session:
            await session.run_sync(lambda sync: counters.create(sync.connection()))
            await session.execute(insert(counters).values(value=0))
        yield database


async def value_of(database: Database) -> int:
    async with database.reads.connect() as connection:
        value: int = (await connection.execute(select(counters.c.value))).scalar_one()
        return value


async def test_concurrent_increments_are_all_kept(database: Database) -> None:
    async def increment() -> None:
        async with database.sessions.begin() as session:
            value = (await session.execute(select(counters.c.value))).scalar_one()
            await session.execute(update(counters).values(value=value + 1))

    await asyncio.gather(*(increment() for _ in range(30)))

    assert await value_of(database) == 30


async def test_increments_of_another_process_are_kept_too(
    database: Database, settings: Settings
) -> None:
    async def increment(writer: Database) -> None:
        async with writer.sessions.begin() as session:
            value = (await session.execute(select(counters.c.value))).scalar_one()
            await asyncio.sleep(0.001)
            await session.execute(update(counters).values(value=value + 1))

    async with open_database(settings) as other:
        await asyncio.gather(*(increment(writer) for writer in [database, other] * 15))

    assert await value_of(database) == 30


async def test_a_failed_session_keeps_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.sessions.begin() as session:
            await session.execute(update(counters).values(value=7))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert await value_of(database) == 0


async def test_readers_and_the_writer_do_not_wait_for_each_other(database: Database) -> None:
    async with asyncio.timeout(2), database.reads.connect() as reader:
        await reader.execute(text("BEGIN"))  # a long read: it sees one state until it ends
        assert (await reader.execute(select(counters.c.value))).scalar_one() == 0

        async with database.sessions.begin() as session:
            await session.execute(update(counters).values(value=7))
            assert await value_of(database) == 0  # not committed yet

        assert await value_of(database) == 7
        assert (await reader.execute(select(counters.c.value))).scalar_one() == 0
        await reader.execute(text("ROLLBACK"))


async def test_a_read_is_one_round_trip(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await value_of(database)  # opens the connection
    trips: list[str] = []
    execute: Any = aiosqlite.Connection._execute

    async def count(self: aiosqlite.Connection, function: Any, *arguments: Any) -> Any:
        trips.append(getattr(function, "__name__", str(function)))
        return await execute(self, function, *arguments)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", count)

    await value_of(database)

    assert trips == ["cursor", "execute", "fetchall", "close"]  # no BEGIN, no rollback


async def test_reads_cannot_write(database: Database) -> None:
    async with database.reads.connect() as connection:
        with pytest.raises(OperationalError, match="readonly"):
            await connection.execute(update(counters).values(value=7))


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 5000)],
)
async def test_connections_of_both_roads_are_configured(
    database: Database, pragma: str, expected: object
) -> None:
    async with database.reads.connect() as reads, database.sessions() as writes:
        for road in (reads, writes):
            assert (await road.execute(text(f"PRAGMA {pragma}"))).scalar_one() == expected


async def test_writes_check_foreign_keys(database: Database) -> None:
    async with database.sessions() as session:
        assert (await session.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1


class TestCommit:
    @pytest.fixture
    def app(self, app: FastAPI) -> FastAPI:
        @app.post("/orphans")
        async def create_orphan(session: WriteSession) -> dict[str, str]:
            # A deferred constraint is checked by the commit, after the route has returned.
            await session.execute(text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
            await session.execute(
                text(
                    "CREATE TABLE orphans (parent_id INTEGER"
                    " REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)"
                )
            )
            await session.execute(text("INSERT INTO orphans VALUES (1)"))
            return {"status": "created"}

        return app

    async def test_a_commit_that_fails_is_an_error_for_the_client(
        self, client: AsyncClient, settings: Settings
    ) -> None:
        response = await client.post("/orphans")

        assert response.status_code == 500
        async with open_database(settings) as database, database.reads.connect() as connection:
            tables = await connection.execute(
                text("SELECT count(*) FROM sqlite_master WHERE name = 'orphans'")
            )
            assert tables.scalar_one() == 0


class TestSaturation:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"database_timeout": 0.05})

    @pytest.fixture
    def app(self, app: FastAPI) -> FastAPI:
        @app.post("/slow")
        async def slow(session: WriteSession) -> dict[str, str]:
            await session.execute(text("SELECT 1"))
            await asyncio.sleep(0.5)
            return {"status": "done"}

        return app

    async def test_a_request_that_waits_too_long_is_told_to_come_back(
        self, client: AsyncClient
    ) -> None:
        first, second = await asyncio.gather(client.post("/slow"), client.post("/slow"))

        assert sorted([first.status_code, second.status_code]) == [200, 503]
        busy = max(first, second, key=lambda response: response.status_code)
        assert busy.headers["retry-after"] == "1"

    async def test_so_is_one_that_waits_for_another_process(
        self, client: AsyncClient, settings: Settings
    ) -> None:
        path = settings.database_url.removeprefix("sqlite+aiosqlite:///")
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")

            response = await client.post("/slow")

        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"


async def test_datetimes_are_kept_in_utc(database: Database) -> None:
    moments = Table("moments", MetaData(), Column("at", UTCDateTime))
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    async with database.sessions.begin() as session:
        await session.run_sync(lambda sync: moments.create(sync.connection()))
        await session.execute(insert(moments).values(at=noon))

    async with database.reads.connect() as reads:
        (found,) = (await reads.execute(select(moments.c.at))).one()
        (stored,) = (await reads.execute(text("SELECT at FROM moments"))).one()

    assert found == noon
    assert found.tzinfo == UTC
    assert stored.startswith("2026-01-01 10:00:00")
    async with database.sessions() as session:
        with pytest.raises(StatementError, match="without a time zone"):
            await session.execute(insert(moments).values(at=noon.replace(tzinfo=None)))
