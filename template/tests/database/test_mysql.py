"""What is particular to MySQL and MariaDB."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from asyncmy.auth import sha2_rsa_encrypt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import ValidationError
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from app.database import (
    MIGRATION_OPTIONS,
    Database,
    DatabaseSettings,
    Query,
    UnavailableError,
    UTCDateTime,
    WriteSession,
)
from app.database.core_reads import CoreReads
from app.database.verdicts import UnfitError
from app.observability.tracebacks import format_safely
from tests.database.scratch import existing
from tests.waiting import HANG

counters = Table("counters", MetaData(), Column("value", Integer))
VALUE = Query(select(counters.c.value))
ID = Query(select(func.connection_id().label("id")))
SLEEP = Query(select(func.sleep(bindparam("seconds")).label("slept")))


@pytest.fixture(autouse=True)
async def _counters(database: Database) -> AsyncIterator[None]:
    async with existing(database, counters):
        async with database.writes.session() as session:
            await session.execute(insert(counters).values(value=0))
        yield


@pytest.fixture
def reads(database: Database) -> CoreReads:
    assert isinstance(database.reads, CoreReads)
    return database.reads


async def kill(database: Database, connection_id: int) -> None:
    async with database.writes.session() as session:
        await session.execute(text(f"KILL CONNECTION {connection_id}"))


async def questions(database: Database) -> int:
    """Return how many statements the server has been sent on the write road's connection."""
    async with database.writes.session() as session:
        status = await session.execute(text("SHOW SESSION STATUS LIKE 'Questions'"))
        return int(status.one()[1])


async def test_a_read_is_one_round_trip(reads: CoreReads) -> None:
    status = text("SHOW SESSION STATUS LIKE 'Questions'")
    async with reads.engine.connect() as connection:
        before = int((await connection.execute(status)).one()[1])
    await reads.one(VALUE)
    await reads.one(VALUE)
    async with reads.engine.connect() as connection:
        after = int((await connection.execute(status)).one()[1])

    assert after - before == 3  # the two reads and the question; no BEGIN, ROLLBACK or ping


async def test_a_write_begins_and_commits_and_nothing_else(database: Database) -> None:
    first = await questions(database)

    second = await questions(database)

    assert (
        second - first <= 3
    )  # COMMIT (or ROLLBACK), BEGIN where the driver sends one, the question


async def test_the_read_road_cannot_write(reads: CoreReads) -> None:
    async with reads.engine.connect() as connection:
        with pytest.raises(DBAPIError, match="READ ONLY"):
            await connection.execute(update(counters).values(value=7))


async def test_a_broken_connection_is_unavailable_and_then_replaced(
    reads: CoreReads, database: Database
) -> None:
    before = await reads.one(ID)
    assert before
    sleeping = asyncio.create_task(reads.one(SLEEP, seconds=3 * HANG))
    running = text("SELECT info FROM information_schema.processlist WHERE id = :id")
    async with asyncio.timeout(HANG), database.writes.engine.connect() as connection:
        statement = None
        while "sleep" not in str(statement).lower():
            statement = (await connection.execute(running, before)).scalar()

    await kill(database, before["id"])

    with pytest.raises(UnavailableError):
        await sleeping
    after = await reads.one(ID)
    assert after
    assert after != before


@pytest.mark.parametrize("road", ["reads", "writes"])
async def test_a_connection_that_broke_while_idle_is_replaced(
    database: Database, reads: CoreReads, monkeypatch: pytest.MonkeyPatch, road: str
) -> None:
    async def connection_id() -> int:
        if road == "reads":
            row = await reads.one(ID)
            assert row
            return int(row["id"])
        async with database.writes.session() as session:
            return int((await session.execute(ID.statement)).scalar_one())

    before = await connection_id()
    other = reads.engine if road == "writes" else database.writes.engine
    async with other.connect() as connection:
        await connection.execute(text(f"KILL CONNECTION {before}"))
    monkeypatch.setattr("app.database.connections.IDLE", 0.0)

    assert await connection_id() != before


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/set/{value}")
    async def set_value(value: int, session: WriteSession) -> None:
        await session.execute(update(counters).values(value=value))

    return app


async def test_a_commit_that_the_connection_does_not_outlive_is_an_error(
    client: AsyncClient, database: Database, state: dict[str, Database], reads: CoreReads
) -> None:
    @event.listens_for(state["database"].writes.engine.sync_engine, "commit")
    def break_off(connection: Connection) -> None:
        own = connection.exec_driver_sql("SELECT connection_id()").scalar_one()
        with pytest.raises(DBAPIError):
            connection.exec_driver_sql(f"KILL CONNECTION {own}")

    response = await client.post("/set/7")

    assert response.status_code in (500, 503)
    assert await reads.one(VALUE) == {"value": 0}


@pytest.mark.parametrize(
    ("number", "passes"),
    [
        *((1213, True), (1412, True), (1047, True), (1053, True)),
        *((1021, True), (1114, True), (1290, True), (1836, True)),
        *((1048, False), (1365, False), (1146, False), (1644, False)),
    ],
)
async def test_what_may_pass_later_is_unavailable(
    database: Database, number: int, *, passes: bool
) -> None:
    """As the server sends it; what is the client's or a bug is raised as it is."""

    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(
                text(f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'")
            )

    with pytest.raises(UnavailableError if passes else DBAPIError):
        await fail()


@pytest.mark.parametrize("number", [1264, 1292, 1366, 1406])
async def test_a_value_that_no_column_holds_is_the_clients_error(
    database: Database, number: int
) -> None:
    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(
                text(f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'no'")
            )

    with pytest.raises(UnfitError):
        await fail()


async def test_a_server_that_does_not_write_is_left(database: Database, reads: CoreReads) -> None:
    """After a switch of the primary another one has its name."""

    async def on_both_roads() -> set[int]:
        row = await reads.one(ID)
        assert row
        async with database.writes.session() as session:
            return {row["id"], (await session.execute(ID.statement)).scalar_one()}

    async def write() -> None:
        async with database.writes.session() as session:
            await session.execute(update(counters).values(value=7))

    before = await on_both_roads()
    async with database.writes.session() as session:
        await session.execute(text("SET SESSION TRANSACTION READ ONLY"))

    with pytest.raises(UnavailableError):
        await write()

    await write()
    assert not before & await on_both_roads()


async def test_a_write_finds_a_dead_one_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose other end vanished, and told nobody."""
    monkeypatch.setattr("app.database.connections.IDLE", 0.0)
    monkeypatch.setattr("app.database.connections.PING", 0.3)
    async with database.writes.session() as session:
        dead: Any = (await (await session.connection()).get_raw_connection()).driver_connection
    dead._transport.pause_reading()

    async with asyncio.timeout(HANG), database.writes.session() as session:
        raw = await (await session.connection()).get_raw_connection()
        assert raw.driver_connection is not dead


async def test_a_machine_that_vanishes_is_noticed(database: Database, reads: CoreReads) -> None:
    for engine in (reads.engine, database.writes.engine):
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            options = driver._transport.get_extra_info("socket")
            assert options.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert options.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
            assert options.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == HANG * 1000


SECRET = "hunter2"  # noqa: S105
VALUE_ERRORS = [
    ("INSERT INTO counters VALUES (:secret)", "1366"),
    ("INSERT INTO counters SELECT :secret + 0", "1292"),
    ("SELEC :secret", "1064"),
    ("SELECT :secret, missing FROM counters", "1054 "),
]


@pytest.mark.parametrize(("statement", "told"), VALUE_ERRORS)
async def test_an_error_of_a_value_does_not_tell_it(
    database: Database, statement: str, told: str
) -> None:
    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(text(statement), {"secret": SECRET})

    with pytest.raises((DBAPIError, UnfitError)) as failed:
        await fail()

    line = format_safely(failed.value)
    assert f"Error) {told}" in line
    assert SECRET not in line


async def test_nor_does_one_that_took_too_long(database: Database) -> None:
    slow = text("SELECT benchmark(1000000000, md5(:secret)) FROM counters")

    async def fail() -> None:
        async with database.writes.session() as session:
            version = (await session.execute(text("SELECT version()"))).scalar_one()
            maria = "MariaDB" in version
            limit = "max_statement_time = 0.1" if maria else "max_execution_time = 100"
            await session.execute(text(f"SET SESSION {limit}"))
            await session.execute(slow, {"secret": SECRET})

    with pytest.raises(UnavailableError) as failed:
        await fail()
    await database.writes.engine.dispose()  # the limit is the session's

    line = format_safely(failed.value)
    assert "1969" in line or "3024" in line
    assert SECRET not in line


@pytest.mark.parametrize("name", ["DATABASE_URL", "READ_DATABASE_URL"])
@pytest.mark.parametrize("url", ["mysql://app@localhost/app", "mysql+pymysql://app@localhost/app"])
async def test_another_kind_of_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)

    with pytest.raises(ValidationError, match=r"mysql\+asyncmy://"):
        DatabaseSettings()


async def test_a_migration_keeps_microseconds() -> None:
    migration = SimpleNamespace(imports=set())

    rendered = MIGRATION_OPTIONS["render_item"]("type", UTCDateTime(), migration)

    assert rendered == "mysql.DATETIME(fsp=6)"
    assert migration.imports == {"from sqlalchemy.dialects import mysql"}


async def test_a_password_can_be_sent_as_mysql_8_asks_for_it() -> None:
    # Its default login without TLS: encrypted with a key of the server's.
    key = rsa.generate_private_key(65537, 2048)
    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    salt = bytes(20)

    public = key.public_key().public_bytes(pem, info)
    sent = sha2_rsa_encrypt(b"tea", salt, public)  # type: ignore[no-untyped-call]

    sha1 = hashes.SHA1()  # noqa: S303  (the protocol's)
    assert key.decrypt(sent, padding.OAEP(padding.MGF1(sha1), sha1, None)) == b"tea\0"
