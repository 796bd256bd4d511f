"""Measure one read on PostgreSQL, way by way: part of `make bench`.

Runs with a rendered project's own interpreter, in its folder, on DATABASE_URL. CPU of this
process a call, without HTTP; the ways take turns and the medians of the rounds count. Under
saturation: p99 and throughput, of the read road and of SQLAlchemy's pool.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

import asyncpg
import uvloop
from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from app.database import DatabaseSettings, Query, open_database
from app.database.postgresql_url import connect_options
from app.items import queries
from app.items.models import Item

ROUNDS, TIMES = 9, 500
CLIENTS, POOL, SECONDS = 64, 10, 1.5
STATEMENT = select(Item.id, Item.name, Item.quantity, Item.created_at).where(
    Item.id == bindparam("id")
)
SQL = "SELECT id, name, quantity, created_at FROM items WHERE id = $1"


async def leave(_: asyncpg.Connection) -> None:
    """Reset nothing."""


async def reading() -> None:
    """D8: one row, from the bare driver up to an entity."""
    settings = DatabaseSettings()
    options = connect_options(settings.url)
    raw = await asyncpg.connect(**options)
    prepared = await raw.prepare(SQL)
    cheap = await asyncpg.create_pool(**options, min_size=1, max_size=4, reset=leave)
    stock = await asyncpg.create_pool(**options, min_size=1, max_size=4)
    engine = create_async_engine(settings.url)
    autocommit = create_async_engine(settings.url, isolation_level="AUTOCOMMIT")
    sessions = async_sessionmaker(engine)
    query = Query(STATEMENT)
    async with open_database(settings) as database:
        async with database.writes.session() as session:
            values = {"name": "tea", "quantity": 1, "created_at": datetime.now(UTC)}
            await session.execute(insert(Item).values(id=1, **values))

        async def core() -> None:
            async with autocommit.connect() as connection:
                (await connection.execute(STATEMENT, {"id": 1})).one()

        async def orm() -> None:
            async with sessions() as session:
                await session.get(Item, 1)

        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "asyncpg, prepared": lambda: prepared.fetch(1),
            "read road": lambda: database.reads.one(query, id=1),
            "asyncpg's pool, no reset": lambda: cheap.fetch(SQL, 1),
            "asyncpg's pool": lambda: stock.fetch(SQL, 1),
            "Core on AUTOCOMMIT": core,
            "ORM session": orm,
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS + 1):
            for name, way in ways.items():
                started = time.process_time()
                for _ in range(TIMES):
                    await way()
                took[name].append((time.process_time() - started) / TIMES * 1e6)
        base = took["asyncpg, prepared"][1:]
        for name, times in took.items():
            ratio = statistics.median(a / b for a, b in zip(times[1:], base, strict=True))
            print(f"D8 one row: {name:<46} {statistics.median(times[1:]):>9.0f} us   x {ratio:.2f}")
    await raw.close()
    for pool in (cheap, stock):
        await pool.close()
    for other in (engine, autocommit):
        await other.dispose()


async def parallel() -> None:
    """P1: the three statements of the stats at once and one after the other."""
    async with open_database(DatabaseSettings()) as database:
        reads = database.reads

        async def in_turn() -> None:
            await reads.one(queries.TOTALS)
            await reads.all(queries.BY_OWNER)
            await reads.all(queries.BY_TAG)

        async def at_once() -> None:
            await queries.stats(reads)

        for clients in (1, 16):
            ratios = []
            for _ in range(ROUNDS):
                pair = []
                for way in (in_turn, at_once):
                    started = time.perf_counter()
                    await asyncio.gather(*(way() for _ in range(clients)))
                    pair.append(time.perf_counter() - started)
                ratios.append(pair[0] / pair[1])
            print(
                f"P1 stats, {clients} clients: in turn / at once {'':<26} x {statistics.median(ratios):.2f}"
            )


async def load(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return p99 in milliseconds and calls a second, of many clients."""
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def client() -> None:
        while (started := time.perf_counter()) < end:
            await call()
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return statistics.quantiles(took, n=100)[98] * 1000, len(took) / SECONDS


async def saturated() -> None:
    """64 clients read a page on a pool of 10, fairly and on SQLAlchemy's pool."""
    settings = DatabaseSettings().model_copy(update={"read_pool": POOL})
    stock = create_async_engine(
        settings.url,
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=30,
        isolation_level="AUTOCOMMIT",
    )
    query: Query = queries.PAGE
    async with open_database(settings) as database:

        async def ours() -> None:
            await database.reads.all(query, limit=21)

        async def theirs() -> None:
            async with stock.connect() as connection:
                (await connection.execute(query.statement, {"limit": 21})).all()

        rounds = [(await load(ours), await load(theirs)) for _ in range(ROUNDS + 1)][1:]
    await stock.dispose()
    p99 = statistics.median(a[0] / b[0] for a, b in rounds)
    throughput = statistics.median(a[1] / b[1] for a, b in rounds)
    title = f"{CLIENTS} clients read on {POOL} connections: ours / SQLAlchemy's pool"
    print(f"{title}: p99 x {p99:.2f}, throughput x {throughput:.2f}")


async def main() -> None:
    """Measure all."""
    await reading()
    await parallel()
    await saturated()


uvloop.run(main())
