"""64 clients read on a pool of 10: a project's read road and SQLAlchemy's pool, in turn.

Prints the median over the rounds of ours / stock, for p99 and throughput.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path.cwd()))

from sqlalchemy.ext.asyncio import create_async_engine

from app.database import DatabaseSettings, Query, open_database
from app.items import queries

CLIENTS, POOL, SECONDS, ROUNDS = 64, 10, 1.5, 5


async def load(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return p99 in milliseconds and calls a second."""
    took: list[float] = []
    end = perf_counter() + SECONDS

    async def client() -> None:
        while (started := perf_counter()) < end:
            await call()
            took.append(perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return statistics.quantiles(took, n=100)[98] * 1000, len(took) / SECONDS


async def main() -> None:
    """Measure reads of a page."""
    settings = DatabaseSettings()
    stock = create_async_engine(
        settings.url,
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=30,
        isolation_level="AUTOCOMMIT",
    )
    query: Query = queries.PAGE
    async with open_database(settings.model_copy(update={"read_pool": POOL})) as database:

        async def ours() -> None:
            await database.reads.all(query, limit=21)

        async def theirs() -> None:
            async with stock.connect() as connection:
                (await connection.execute(query.statement, {"limit": 21})).all()

        rounds = [(await load(ours), await load(theirs)) for _ in range(ROUNDS + 1)][1:]
    await stock.dispose()
    result = {
        "p99": statistics.median(a[0] / b[0] for a, b in rounds),
        "throughput": statistics.median(a[1] / b[1] for a, b in rounds),
        "ours_p99_ms": statistics.median(a[0] for a, _ in rounds),
        "stock_p99_ms": statistics.median(b[0] for _, b in rounds),
    }
    print(json.dumps(result))


asyncio.run(main())
