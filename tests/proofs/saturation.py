"""64 clients on pools of 10: a project's two roads, and SQLAlchemy's pool alone, in turn.

Prints, for each road, the median over the rounds of ours / stock, for p99 and throughput.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path.cwd()))

from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from app.database import DatabaseSettings, Query, open_database
from app.items import queries

CLIENTS, POOL, SECONDS, ROUNDS = 64, 10, 1.5, 5


async def load(call: Callable[[], Awaitable[object]]) -> tuple[float, float, float]:
    """Return p99 in milliseconds, calls a second, and the median in milliseconds."""
    took: list[float] = []
    end = perf_counter() + SECONDS

    async def client() -> None:
        while (started := perf_counter()) < end:
            await call()
            took.append(perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    p99, p50 = statistics.quantiles(took, n=100)[98], statistics.median(took)
    return p99 * 1000, len(took) / SECONDS, p50 * 1000


async def main() -> None:
    """Measure both roads."""
    settings = DatabaseSettings()
    stock = create_async_engine(settings.url, pool_size=POOL, max_overflow=0, pool_timeout=30)
    autocommit = stock.execution_options(isolation_level="AUTOCOMMIT")
    sessions = async_sessionmaker(stock)
    settings = settings.model_copy(update={"write_pool": POOL, "read_pool": POOL})
    statement = text("SELECT pg_sleep(0.01)")
    query: Query = queries.PAGE
    async with open_database(settings) as database:

        async def our_write() -> None:
            async with database.writes.session() as session:
                await session.execute(statement)

        async def stock_write() -> None:
            async with sessions() as session, session.begin():
                await session.execute(statement)

        async def our_read() -> None:
            await database.reads.all(query, limit=21)

        async def stock_read() -> None:
            async with autocommit.connect() as connection:
                (await connection.execute(query.statement, {"limit": 21})).all()

        result = {}
        for road, ours, theirs in (
            ("write", our_write, stock_write),
            ("read", our_read, stock_read),
        ):
            pairs = [(await load(ours), await load(theirs)) for _ in range(ROUNDS + 1)][1:]
            result[road] = {
                "p99": statistics.median(a[0] / b[0] for a, b in pairs),
                "throughput": statistics.median(a[1] / b[1] for a, b in pairs),
                "ours_p99_to_median": statistics.median(a[0] / a[2] for a, _ in pairs),
                "ours_p99_ms": statistics.median(a[0] for a, _ in pairs),
                "stock_p99_ms": statistics.median(b[0] for _, b in pairs),
            }
    await stock.dispose()
    print(json.dumps(result))


asyncio.run(main())
