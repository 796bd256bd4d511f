"""What is particular to SQLite: one lock to write, none to read."""

import asyncio
import logging
import resource
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from math import inf
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import ValidationError
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy.exc import OperationalError, StatementError

from app.database import (
    Base,
    Database,
    DatabaseSettings,
    Query,
    UnavailableError,
    UTCDateTime,
    WriteSession,
    open_database,
)
from app.database.core_reads import CoreReads
from tests.waiting import HANG

counters = Table("counters", MetaData(), Column("value", Integer, nullable=False))
VALUE = Query(select(counters.c.value))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of its own."""
    file = tmp_path / "counters.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE counters (value INTEGER NOT NULL)")
        connection.execute("INSERT INTO counters VALUES (0)")
    return file


@pytest.fixture
def settings(file: Path) -> DatabaseSettings:
    return DatabaseSettings(url=f"sqlite+aiosqlite:///{file}")


@pytest.fixture
def tables() -> None:
    return None


async def value_of(database: Database) -> object:
    row = await database.reads.one(VALUE)
    return row and row["value"]


async def test_increments_of_another_process_are_kept_too(
    database: Database, settings: DatabaseSettings
) -> None:
    # Between processes SQLite lets whoever asks at the right moment write first: be patient.
    patient = settings.model_copy(update={"timeout": 30.0})

    async def increment(writer: Database) -> None:
        async with writer.writes.session() as session:
            value = (await session.execute(select(counters.c.value))).scalar_one()
            await asyncio.sleep(0.001)
            await session.execute(update(counters).values(value=value + 1))

    async with open_database(patient) as one, open_database(patient) as other:
        await asyncio.gather(*(increment(writer) for writer in [one, other] * 15))

    assert await value_of(database) == 30


async def test_readers_and_the_writer_do_not_wait_for_each_other(
    database: Database, file: Path
) -> None:
    await value_of(database)  # the first connection sets the file to WAL
    with closing(sqlite3.connect(file, isolation_level=None)) as reader, reader:
        reader.execute("BEGIN")  # a long read: it sees one state until it ends
        assert reader.execute("SELECT value FROM counters").fetchone() == (0,)

        async with asyncio.timeout(HANG), database.writes.session() as session:
            await session.execute(update(counters).values(value=7))
            assert await value_of(database) == 0  # not committed yet

        assert await value_of(database) == 7
        assert reader.execute("SELECT value FROM counters").fetchone() == (0,)


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


async def test_the_read_road_cannot_write(database: Database) -> None:
    assert isinstance(database.reads, CoreReads)
    async with database.reads.engine.connect() as connection:
        with pytest.raises(OperationalError, match="readonly"):
            await connection.execute(update(counters).values(value=7))


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [("journal_mode", "wal"), ("synchronous", 1), ("busy_timeout", 5000)],
)
async def test_connections_of_both_roads_are_configured(
    database: Database, pragma: str, expected: object
) -> None:
    assert isinstance(database.reads, CoreReads)
    for engine in (database.reads.engine, database.writes.engine):
        async with engine.connect() as connection:
            found = await connection.execute(text(f"PRAGMA {pragma}"))
            assert found.scalar_one() == expected


async def test_writes_check_foreign_keys(database: Database) -> None:
    async with database.writes.session() as session:
        assert (await session.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1


async def test_no_thread_outlives_the_database(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would tell an event loop that may be closed by then."""
    connect, begun = sqlite3.connect, threading.Event()

    def slow(*arguments: Any, **options: Any) -> sqlite3.Connection:
        begun.set()
        time.sleep(0.3)
        connection: sqlite3.Connection = connect(*arguments, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", slow)
    before = set(threading.enumerate())
    async with open_database(settings) as database:
        reading = asyncio.create_task(value_of(database))
        await asyncio.to_thread(begun.wait)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in left if "connection_worker" in name]


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/orphans")
    async def create_orphan(session: WriteSession) -> None:
        # A deferred constraint is checked by the commit, after the route has returned.
        await session.execute(text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
        await session.execute(
            text(
                "CREATE TABLE orphans (parent_id INTEGER"
                " REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)"
            )
        )
        await session.execute(text("INSERT INTO orphans VALUES (1)"))

    @app.post("/increment")
    async def increment(session: WriteSession) -> None:
        await session.execute(update(counters).values(value=counters.c.value + 1))

    return app


async def test_a_commit_that_the_database_refuses_is_an_error(
    client: AsyncClient, file: Path
) -> None:
    response = await client.post("/orphans")

    assert response.status_code == 409
    with closing(sqlite3.connect(file)) as connection, connection:
        names = "SELECT name FROM sqlite_master WHERE name = 'orphans'"
        assert connection.execute(names).fetchall() == []


class TestLocked:
    @pytest.fixture
    def settings(self, settings: DatabaseSettings) -> DatabaseSettings:
        return settings.model_copy(update={"timeout": 0.05})

    async def test_a_request_that_waits_for_another_process_is_told_to_come_back(
        self, client: AsyncClient, file: Path
    ) -> None:
        with closing(sqlite3.connect(file, isolation_level=None)) as other, other:
            other.execute("BEGIN IMMEDIATE")

            response = await client.post("/increment")

        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"


async def test_a_full_disk_is_a_503_until_there_is_room(
    client: AsyncClient,
    file: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files of this process may not grow meanwhile."""
    monkeypatch.setattr(Base, "metadata", MetaData())  # this file has no tables of models
    monkeypatch.setattr(UnavailableError, "logged", -inf)
    assert (await client.post("/increment")).status_code == 200
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = file.with_name(f"{file.name}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, before[1]))
    try:
        writes = [await client.post("/increment") for _ in range(3)]
        ready = await client.get("/health/ready")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert [response.status_code for response in writes] == [503] * 3
    assert ready.status_code == 503
    assert ready.json()["detail"] == "The database cannot be written to."
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelno == logging.WARNING
    assert (await client.get("/health/ready")).status_code == 200
    assert (await client.post("/increment")).status_code == 200


async def test_a_file_that_may_not_grow_is_full(database: Database) -> None:
    async with database.writes.session() as session:
        await session.execute(text("PRAGMA max_page_count = 1"))

    with pytest.raises(UnavailableError):
        async with database.writes.session() as session:
            await session.execute(text("CREATE TABLE more (value)"))


async def test_datetimes_are_kept_in_utc(database: Database, file: Path) -> None:
    moments = Table("moments", MetaData(), Column("at", UTCDateTime))
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    async with database.writes.session() as session:
        await session.run_sync(lambda sync: moments.create(sync.connection()))
        await session.execute(insert(moments).values(at=noon))

    row = await database.reads.one(Query(select(moments.c.at)))

    assert row == {"at": noon}
    assert row["at"].tzinfo == UTC
    with closing(sqlite3.connect(file)) as connection, connection:
        ((stored,),) = connection.execute("SELECT at FROM moments").fetchall()
    assert stored.startswith("2026-01-01 10:00:00")
    with pytest.raises(StatementError, match="without a time zone"):
        async with database.writes.session() as session:
            await session.execute(insert(moments).values(at=noon.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "sqlite:///data.db"),  # a driver that would block the event loop
        ("DATABASE_URL", "sqlite+aiosqlite:///"),
        ("DATABASE_URL", "sqlite+aiosqlite:///:memory:"),  # each connection would have its own
        ("DATABASE_URL", "sqlite+aiosqlite:///data.db?timeout=10"),
    ],
)
def test_another_kind_of_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match="url"):
        DatabaseSettings()
