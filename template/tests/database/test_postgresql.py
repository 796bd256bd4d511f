"""What is particular to PostgreSQL: reads on asyncpg itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import ValidationError
from sqlalchemy import (
    ARRAY,
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import (
    Database,
    DatabaseSettings,
    Query,
    UnavailableError,
    WriteSession,
    asyncpg_reads,
    writes,
)
from app.database.asyncpg_reads import AsyncpgReads
from app.database.verdicts import UnfitError
from app.database.writes import OutcomeUnknownError
from app.observability.tracebacks import format_safely
from tests.database.scratch import existing
from tests.waiting import HANG, until

metadata = MetaData()
counters = Table("counters", metadata, Column("value", Integer), Column("list", ARRAY(Integer)))
VALUE = Query(select(counters.c.value))
PID = Query(select(func.pg_backend_pid().label("pid")))
SLEEP = Query(select(func.pg_sleep(bindparam("seconds")).label("slept")))
MINE = Query(
    select(column("pid"), column("state"))
    .select_from(table("pg_stat_activity"))
    .where(column("query").contains("pg_sleep"), column("pid") != func.pg_backend_pid())
    .where(column("datname") == func.current_database())
)


@pytest.fixture(autouse=True)
async def _counters(database: Database) -> AsyncIterator[None]:
    async with existing(database, counters):
        async with database.writes.session() as session:
            await session.execute(insert(counters).values(value=0, list=[1, 2]))
        yield


@pytest.fixture
def reads(database: Database) -> AsyncpgReads:
    assert isinstance(database.reads, AsyncpgReads)
    return database.reads


class Trips:
    """Counts what is sent to the server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        protocol: Any = asyncpg.protocol.Protocol

        class Counting(protocol):  # type: ignore[misc]
            async def prepare(self, *arguments: Any, **more: Any) -> Any:
                trips.calls.append("prepare")
                return await super().prepare(*arguments, **more)

            async def query(self, *arguments: Any, **more: Any) -> Any:
                trips.calls.append("query")
                return await super().query(*arguments, **more)

            async def bind_execute(self, *arguments: Any, **more: Any) -> Any:
                trips.calls.append("execute")
                return await super().bind_execute(*arguments, **more)

        trips = self
        monkeypatch.setattr(asyncpg.protocol, "Protocol", Counting)


class TestRoundTrips:
    @pytest.fixture(autouse=True)
    def trips(self, monkeypatch: pytest.MonkeyPatch) -> Trips:
        return Trips(monkeypatch)

    async def test_a_read_is_one_round_trip(self, reads: AsyncpgReads, trips: Trips) -> None:
        await reads.one(VALUE)  # opens the connection and prepares the statement
        trips.calls.clear()

        await reads.one(VALUE)

        assert trips.calls == ["execute"]  # no BEGIN, no ROLLBACK, no RESET, no ping

    async def test_a_write_begins_and_commits_and_nothing_else(
        self, database: Database, trips: Trips
    ) -> None:
        async def write() -> None:
            async with database.writes.session() as session:
                await session.execute(update(counters).values(value=7))

        await database.writes.engine.dispose()  # its connections are older than the counter
        await write()
        trips.calls.clear()

        await write()

        assert trips.calls == ["query", "execute", "query"]


async def test_the_read_road_cannot_write(reads: AsyncpgReads) -> None:
    written = update(counters).values(value=7).returning(counters.c.value).cte("written")

    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await reads.all(Query(select(written.c.value)))


async def test_an_array_comes_back_as_a_list(reads: AsyncpgReads) -> None:
    assert await reads.one(Query(select(counters.c.list))) == {"list": [1, 2]}


async def test_in_is_refused_where_it_cannot_be_compiled_ahead() -> None:
    with pytest.raises(ValueError, match="any_of"):
        asyncpg_reads.Compiled(Query(select(counters.c.value).where(counters.c.value.in_([1, 2]))))


async def test_a_read_that_timed_out_is_cancelled_on_the_server(reads: AsyncpgReads) -> None:
    sleeping = asyncio.create_task(reads.one(SLEEP, seconds=3 * HANG))
    async with asyncio.timeout(HANG):
        while not [row for row in await reads.all(MINE) if row["state"] == "active"]:
            continue
    sleeping.cancel()  # as a timeout does
    await asyncio.wait([sleeping])

    async with asyncio.timeout(HANG):
        while [row for row in await reads.all(MINE) if row["state"] == "active"]:
            continue
        assert await reads.one(VALUE) == {"value": 0}


async def test_a_broken_connection_is_replaced(reads: AsyncpgReads, database: Database) -> None:
    before = await reads.one(PID)
    assert before
    async with database.writes.session() as session:
        await session.execute(text(f"SELECT pg_terminate_backend({before['pid']})"))
    await until(reads._idle[-1][0].is_closed)  # the end of the connection arrives

    after = await reads.one(PID)

    assert after
    assert after != before


async def test_a_connection_that_breaks_during_a_read_is_unavailable(
    reads: AsyncpgReads, database: Database
) -> None:
    sleeping = asyncio.create_task(reads.one(SLEEP, seconds=3 * HANG))
    while not [row for row in await reads.all(MINE) if row["state"] == "active"]:
        continue
    async with database.writes.session() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        )

    with pytest.raises(UnavailableError):
        await sleeping
    assert await reads.one(VALUE) == {"value": 0}


async def test_an_idle_connection_is_not_trusted_for_ever(
    reads: AsyncpgReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await reads.one(PID)
    assert await reads.one(PID) == before
    monkeypatch.setattr(asyncpg_reads, "MAX_IDLE", 0.0)

    assert await reads.one(PID) != before


async def test_a_transaction_in_a_read_does_not_reach_the_next_one(reads: AsyncpgReads) -> None:
    before = await reads.one(PID)
    connection = reads._idle[-1][0]
    await connection.execute("BEGIN")
    try:
        await reads.one(VALUE)  # uses it, and does not put it back

        assert await reads.one(PID) != before
    finally:
        await connection.close()


async def test_a_write_connection_that_broke_while_idle_is_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = select(func.pg_backend_pid())
    async with database.writes.session() as session:
        before = (await session.execute(pid)).scalar_one()
    assert isinstance(database.reads, AsyncpgReads)
    connection = await database.reads._connect()
    await connection.execute(f"SELECT pg_terminate_backend({before})")
    await connection.close()
    monkeypatch.setattr("app.database.connections.IDLE", 0.0)

    async with database.writes.session() as session:
        assert (await session.execute(pid)).scalar_one() != before


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/orphans")
    async def create_orphan(session: WriteSession) -> None:
        # A deferred constraint is checked by the commit, after the route has returned.
        await session.execute(text("CREATE TABLE parents (id int PRIMARY KEY)"))
        await session.execute(
            text(
                "CREATE TABLE orphans (parent_id int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"
            )
        )
        await session.execute(text("INSERT INTO orphans VALUES (1)"))

    return app


async def test_a_commit_that_the_database_refuses_is_an_error(
    client: AsyncClient, reads: AsyncpgReads
) -> None:
    response = await client.post("/orphans")

    assert response.status_code == 409
    orphans = Query(select(func.to_regclass("orphans").label("oid")))
    assert await reads.one(orphans) == {"oid": None}


# Errors as the server sends them; what is the client's or a bug is raised as it is.
ERRORS = [
    *((state, True) for state in ("40001", "40P01", "55P03", "57014", "53300", "72000")),
    *((state, True) for state in ("53100", "58030", "57P01", "08006", "25006", "28P01")),
    *((state, False) for state in ("23502", "22012", "42P01", "42501", "25P02", "0A000", "XX000")),
]


@pytest.mark.parametrize(("state", "passes"), ERRORS)
async def test_what_may_pass_later_is_unavailable(
    database: Database, state: str, *, passes: bool
) -> None:
    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))

    with pytest.raises(UnavailableError if passes else DBAPIError):
        await fail()


@pytest.mark.parametrize("state", ["22001", "22003", "22008", "22021", "22P02", "54000"])
async def test_a_value_that_no_column_holds_is_the_clients_error(
    database: Database, state: str
) -> None:
    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))

    with pytest.raises(UnfitError):
        await fail()


async def test_a_parameter_of_the_wrong_type_is_no_outage(reads: AsyncpgReads) -> None:
    with pytest.raises(asyncpg.DataError, match="argument"):
        await reads.one(SLEEP, seconds="long")


async def test_a_server_that_does_not_write_is_left(
    reads: AsyncpgReads, database: Database
) -> None:
    """After a switch of the primary another one has its name."""

    async def on_both_roads() -> set[int]:
        row = await reads.one(PID)
        assert row
        async with database.writes.session() as session:
            return {row["pid"], (await session.execute(PID.statement)).scalar_one()}

    async def write() -> None:
        async with database.writes.session() as session:
            await session.execute(update(counters).values(value=7))

    before = await on_both_roads()
    async with database.writes.session() as session:
        await session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))

    with pytest.raises(UnavailableError):
        await write()

    await write()
    assert not before & await on_both_roads()


class TestMigrated:
    """The table changes while all have plans for it."""

    @pytest.fixture(autouse=True)
    async def _planned(self, database: Database, reads: AsyncpgReads) -> None:
        for _ in range(2):
            await reads.all(VALUE)
            async with database.writes.session() as session:
                await session.execute(select(counters.c.value))
                await session.execute(update(counters).values(value=1))
        connection = await reads._connect()
        await connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
        await connection.execute("ALTER TABLE counters ALTER value TYPE bigint")
        await connection.close()

    async def test_the_first_statement_runs_again(self, database: Database) -> None:
        async with database.writes.session() as session:
            found = (await session.execute(select(counters.c.value))).scalar_one()
            await session.execute(update(counters).values(value=found + 1))

        assert await database.reads.one(VALUE) == {"value": 2}

    async def test_a_later_one_has_the_request_come_again(self, database: Database) -> None:
        async def write() -> None:
            async with database.writes.session() as session:
                await session.execute(update(counters).values(value=7))
                await session.execute(select(counters.c.value))

        with pytest.raises(UnavailableError):
            await write()

        assert await database.reads.one(VALUE) == {"value": 1}
        await write()

    async def test_a_read_does_not_notice(self, reads: AsyncpgReads) -> None:
        assert await reads.one(VALUE) == {"value": 1}


async def _make_slow_to_commit(session: AsyncSession) -> None:
    """Have a deferred trigger, which runs in the commit, wait."""
    await session.execute(text("CREATE TEMP TABLE slow (id int) ON COMMIT DROP"))
    await session.execute(
        text(
            "CREATE FUNCTION pg_temp.wait() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END'"
        )
    )
    await session.execute(
        text(
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION pg_temp.wait()"
        )
    )
    await session.execute(text("INSERT INTO slow VALUES (1)"))


@pytest.mark.parametrize("who", ["nobody", "the server", "the network"])
async def test_a_commit_without_an_answer_has_an_unknown_outcome(
    database: Database, reads: AsyncpgReads, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """But for a server that said why: then it has done nothing."""
    monkeypatch.setattr(writes, "COMMIT", 0.5 if who == "nobody" else 2 * HANG)
    drivers: list[Any] = []

    async def write() -> None:
        async with database.writes.session() as session:
            await _make_slow_to_commit(session)
            raw = await (await session.connection()).get_raw_connection()
            drivers.append(raw.driver_connection)

    writing = asyncio.create_task(write())
    if who != "nobody":
        await until(lambda: drivers)
        pid = drivers[0].get_server_pid()
        other = await reads._connect()
        waits = "SELECT wait_event FROM pg_stat_activity WHERE pid = $1"
        async with asyncio.timeout(HANG):
            while await other.fetchval(waits, pid) != "PgSleep":  # in the commit
                continue
        if who == "the server":
            await other.execute("SELECT pg_terminate_backend($1)", pid)
        else:
            drivers[0].terminate()
        await other.close()

    with pytest.raises(UnavailableError if who == "the server" else OutcomeUnknownError):
        await writing
    assert database.writes.gate.free == database.writes.gate.size
    async with database.writes.session() as session:
        raw = await (await session.connection()).get_raw_connection()
        assert raw.driver_connection not in drivers


def _silence(connection: Any) -> None:
    """Have a connection's other end say nothing any more, as a machine does that vanished."""
    connection._transport.pause_reading()


class TestSilence:
    """Connections that idle die, and nobody is told."""

    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncpg_reads, "PING", 0.3)
        monkeypatch.setattr("app.database.connections.PING", 0.3)
        monkeypatch.setattr(asyncpg_reads, "IDLE", 0.0)
        monkeypatch.setattr(asyncpg_reads, "CLOSE_TIMEOUT", 0.1)
        monkeypatch.setattr("app.database.connections.IDLE", 0.0)

    async def test_one_wait_finds_all_that_are_dead(
        self, database: Database, reads: AsyncpgReads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await asyncio.gather(*(reads.one(SLEEP, seconds=0.1) for _ in range(3)))
        dead = [connection for connection, _ in reads._idle]
        assert len(dead) == 3
        for connection in dead:
            _silence(connection)
        waits = []
        checked = AsyncpgReads._checked

        async def count(self: AsyncpgReads, connection: Any) -> Any:
            waits.append(connection)
            return await checked(self, connection)

        monkeypatch.setattr(AsyncpgReads, "_checked", count)

        await reads.one(VALUE)
        await asyncio.gather(reads.one(VALUE), reads.one(VALUE))

        assert sum(connection in dead for connection in waits) == 1

    async def test_a_write_finds_a_dead_one_too(self, database: Database) -> None:
        async with database.writes.session() as session:
            raw = await (await session.connection()).get_raw_connection()
            dead: Any = raw.driver_connection
        _silence(dead)

        async with asyncio.timeout(HANG), database.writes.session() as session:
            raw = await (await session.connection()).get_raw_connection()
            assert raw.driver_connection is not dead


async def test_a_dead_connection_does_not_fail_the_probe(
    client: AsyncClient, state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncpg_reads, "IDLE", 0.0)
    monkeypatch.setattr(asyncpg_reads, "CLOSE_TIMEOUT", 0.1)
    monkeypatch.setattr("app.health.READY_TIMEOUT", HANG)
    reads = state["database"].reads
    await asyncio.gather(*(reads.one(SLEEP, seconds=0.1) for _ in range(3)))
    for connection, _ in reads._idle:
        _silence(connection)

    for _ in range(2):
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_machine_that_vanishes_is_noticed(database: Database, reads: AsyncpgReads) -> None:
    raw = await database.writes.engine.raw_connection()
    mine = await reads._connect()
    connections: list[Any] = [raw.driver_connection, mine]
    for connection in connections:
        options = connection._transport.get_extra_info("socket")
        assert options.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert options.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert options.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == HANG * 1000
    raw.close()
    await mine.close()


SECRET = "hunter2"  # noqa: S105
VALUE_ERRORS = [
    ("SELECT CAST(CAST(:secret AS text) AS integer)", "SQLSTATE 22P02"),
    ("SELECT CAST(CAST(:secret AS text) AS json)", "SQLSTATE 22P02"),
    ("UPDATE counters SET value = :secret", "SQLSTATE 22000"),
    ("SELECT pg_sleep(9), CAST(:secret AS text)", "SQLSTATE 57014"),
]


@pytest.mark.parametrize(("statement", "told"), VALUE_ERRORS)
async def test_an_error_of_a_value_does_not_tell_it(
    database: Database, statement: str, told: str
) -> None:
    async def fail() -> None:
        async with database.writes.session() as session:
            if "pg_sleep" in statement:
                await session.execute(text("SET LOCAL statement_timeout = '100ms'"))
            await session.execute(text(statement), {"secret": SECRET})

    with pytest.raises((DBAPIError, UnavailableError, UnfitError)) as failed:
        await fail()

    line = format_safely(failed.value)
    assert told in line
    assert SECRET not in line


async def test_nor_does_one_of_the_drivers_own() -> None:
    error = asyncpg.InterfaceError(f"invalid input for query argument $1: {SECRET}")

    line = format_safely(error)

    assert "argument $1" in line
    assert SECRET not in line


async def test_nor_does_a_read(reads: AsyncpgReads) -> None:
    number = Query(select(cast(bindparam("secret", type_=Text), Integer).label("number")))

    with pytest.raises(UnfitError) as failed:
        await reads.one(number, secret=SECRET)

    line = format_safely(failed.value)
    assert "SQLSTATE 22P02" in line
    assert SECRET not in line


async def test_an_error_of_the_schema_tells_the_name(reads: AsyncpgReads) -> None:
    with pytest.raises(asyncpg.UndefinedTableError) as failed:
        await reads.all(Query(select(column("id")).select_from(table("missing"))))

    assert 'relation "missing" does not exist (SQLSTATE 42P01)' in format_safely(failed.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "READ_DATABASE_URL"])
@pytest.mark.parametrize(
    "url", ["postgresql://app@localhost/app", "postgresql+other://localhost/app", "x"]
)
async def test_another_kind_of_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)

    with pytest.raises(ValidationError, match=r"postgresql\+asyncpg://"):
        DatabaseSettings()
