"""Measure the patterns of a rendered project, each against the usual way: `make bench`.

Runs with the project's own interpreter, in its folder. Every comparison is interleaved
(A B A B ...), in one process; the figure is the median of the rounds' ratios, because
the machine's speed drifts but the ratio within a round does not.
"""

import asyncio
import gzip
import logging
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))

from fastapi import FastAPI, Request, Response
from httpx2 import AsyncClient
from pydantic import HttpUrl
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.compression import LARGE
from app.database import Base, Database, DatabaseSettings, Query, open_database
from app.guard import Guard, GuardSettings
from app.items import queries
from app.items.models import Item
from app.items.schemas import ItemRead, OwnerRead
from app.metrics import prometheus
from app.metrics.exposition import exposition
from app.observability.finished import MAX_BATCH
from app.observability.instruments import Instruments
from app.observability.logs import BatchHandler, JSONFormatter, RequestRecord
from app.outbound import Outbound, OutboundSettings
from app.pagination import Page
from app.streaming import JSONLines, json_lines

ITEM: dict[str, Any] = {
    **{"id": 1, "name": "tea", "quantity": 1, "owner": {"id": 1, "name": "Ann"}},
    **{"tags": ["green", "hot"], "created_at": datetime.now(UTC)},
}

ROUNDS = 15
ROWS = 400_000

Call = Callable[[], Awaitable[object]]


async def cost(call: Call, times: int, clock: Callable[[], float]) -> float:
    """Return the microseconds that one call takes."""
    started = clock()
    for _ in range(times):
        await call()
    return (clock() - started) / times * 1e6


async def compare(
    title: str, ours: Call, usual: Call, times: int, clock: Callable[[], float] = time.process_time
) -> None:
    """Print what both take, and the median ratio of usual to ours."""
    pairs = []
    for _ in range(ROUNDS + 1):
        pairs.append((await cost(ours, times, clock), await cost(usual, times, clock)))
    pairs = pairs[1:]  # the first one warms up
    ratio = statistics.median(other / own for own, other in pairs)
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{title:<58} {own:>9.0f} us {other:>9.0f} us   x {ratio:.2f}")


async def request(app: ASGIApp, path: str) -> None:
    """Send one GET request to an ASGI application, without a network."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Message) -> None:
        return None

    scope = {
        **{"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http"},
        **{"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""},
        **{"headers": [], "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)},
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }
    await app(scope, receive, send)


async def pagination(database: Database) -> None:
    """D5: a page at the far end, by cursor and by OFFSET."""
    reads = database.reads
    far = (await queries.page(reads, 1, None))[0][0].created_at - timedelta(seconds=ROWS - 100)
    cursor = queries.CURSOR.encode((far, 1))
    by_offset = Query(
        select(Item.id, Item.name, Item.quantity, Item.created_at)
        .order_by(Item.created_at.desc(), Item.id.desc())
        .limit(20)
        .offset(ROWS - 100)
    )
    await compare(
        f"D5 page at row {ROWS:,}: cursor / OFFSET",
        lambda: queries.page(reads, 20, cursor),
        lambda: reads.all(by_offset),
        times=5,
        clock=time.perf_counter,
    )
    await compare(
        f"D5 page by cursor: row {ROWS:,} / first",
        lambda: queries.page(reads, 20, cursor),
        lambda: queries.page(reads, 20, None),
        times=50,
        clock=time.perf_counter,
    )


async def reading(database: Database, url: str) -> None:
    """D8: one row on the read road, and through an ORM session as usual."""
    engine = create_async_engine(url)
    sessions = async_sessionmaker(engine)
    query = Query(
        select(Item.id, Item.name, Item.quantity, Item.created_at).where(Item.id == bindparam("id"))
    )

    async def on_the_read_road() -> None:
        await database.reads.one(query, id=1000)

    async def with_a_session() -> None:
        async with sessions() as session:
            await session.get(Item, 1000)

    await compare("D8 one row: read road / ORM session", on_the_read_road, with_a_session, 100)
    await engine.dispose()


async def writing(database: Database, url: str) -> None:
    """D10: 30 concurrent read-modify-writes, how many are kept."""
    engine = create_async_engine(url)
    usual: async_sessionmaker[AsyncSession] = async_sessionmaker(engine)
    for title, begin in (("ours", database.writes.session), ("usual", usual.begin)):

        async def increment(begin: Any = begin) -> None:
            async with begin() as session:
                quantity = await session.scalar(select(Item.quantity).where(Item.id == 1))
                await session.execute(
                    update(Item).where(Item.id == 1).values(quantity=(quantity or 0) + 1)
                )

        async with database.writes.session() as session:
            await session.execute(update(Item).where(Item.id == 1).values(quantity=0))
        started = time.perf_counter()
        results = await asyncio.gather(*(increment() for _ in range(30)), return_exceptions=True)
        seconds = time.perf_counter() - started
        failed = sum(isinstance(result, Exception) for result in results)
        item = await queries.get(database.reads, 1)
        kept = item.quantity if item else 0
        print(
            f"D10 30 concurrent increments, {title}: {kept} kept, {failed} failed, {seconds:.2f} s"
        )
    await engine.dispose()


async def logs() -> None:
    """M1: a request's line in the log, by the batch and as usual."""
    fields = {"method": "GET", "path": "/items/7", "status": 200, "duration_ms": 1.234}
    with Path("/dev/null").open("w") as nowhere:  # noqa: ASYNC230
        ours, usual = logging.getLogger("ours"), logging.getLogger("usual")
        batch, stream = BatchHandler(), logging.StreamHandler(nowhere)
        batch.stream = nowhere
        handled = count(1)
        for logger, handler in ((ours, batch), (usual, stream)):
            handler.setFormatter(JSONFormatter())
            logger.handlers, logger.propagate = [handler], False
            logger.setLevel(logging.INFO)

        async def batched() -> None:
            ours.handle(RequestRecord("ours", "request", "0" * 32, fields))
            if next(handled) % MAX_BATCH == 0:
                batch.flush()

        async def one_by_one() -> None:
            usual.info("request", extra=fields)

        await compare("M1 a line of the log: batched / logger.info", batched, one_by_one, 2000)


async def layers(database: Database) -> None:
    """M1, M2, S4: what each layer adds to a request, in one interleaved run."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    logging.getLogger("app.request").setLevel(logging.WARNING)
    guard = GuardSettings()
    stacks: dict[str, ASGIApp] = {
        "an answer": answer,
        "S4 guard: deadline, host, size, headers": Guard(answer, guard),
        "M1 instruments: id, times, shares": Instruments(answer),
    }
    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS + 1):
        for name, app in stacks.items():
            took = await cost(lambda app=app: request(app, "/"), 2000, time.process_time)  # type: ignore[misc]
            taken.setdefault(name, []).append(took)
        async with prometheus.watch(database):
            app = stacks["M1 instruments: id, times, shares"]
            took = await cost(lambda app=app: request(app, "/"), 2000, time.process_time)  # type: ignore[misc]
        taken.setdefault("M1 + M2 the same with Prometheus metrics", []).append(took)
    bare = taken.pop("an answer")[1:]
    for name, times in taken.items():
        added = statistics.median(a - b for a, b in zip(times[1:], bare, strict=True))
        print(f"{name:<58} + {added:>7.1f} us to a request")


async def scrape() -> None:
    """M2: what a scrape of 100 routes costs."""
    for number in range(100):
        prometheus.REQUESTS.labels("GET", f"/planted{number}", "200").observe(0.01)

    async def expose() -> None:
        exposition()

    taken = [await cost(expose, 20, time.process_time) for _ in range(ROUNDS + 1)][1:]
    lines = exposition().count(b"\n")
    title = f"M2 a scrape of 100 routes, {lines:,} lines"
    print(f"{title:<58} {statistics.median(taken):>9.0f} us")


async def streaming() -> None:
    """R3: 1,000 rows as JSON Lines, by the batch and one by one as FastAPI streams them."""
    row = ItemRead.model_validate(ITEM)
    app = FastAPI()

    async def batches() -> AsyncGenerator[list[ItemRead], int]:
        yield [row] * 1000

    @app.get("/batches", response_class=JSONLines)
    async def by_batch() -> JSONLines:
        return await json_lines(batches())

    @app.get("/rows")
    async def by_row() -> AsyncIterable[ItemRead]:
        for _ in range(1000):
            yield row

    await compare(
        "R3 1,000 rows as JSON Lines: by batch / by row",
        lambda: request(app, "/batches"),
        lambda: request(app, "/rows"),
        5,
    )


async def instruments() -> None:
    """M1: request id and timing in one ASGI class, and the timing alone as usual.

    Nobody listens to the log here: writing it costs the same in both.
    """

    async def bare(scope: object, receive: object, send: Callable[..., Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def timing(request: Request, call_next: RequestResponseEndpoint) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        response.headers["X-Process-Time"] = str(time.perf_counter() - started)
        return response

    usual = BaseHTTPMiddleware(bare, dispatch=timing)
    ours = Instruments(bare)
    await compare(
        "M1 timing: our ASGI class (with an id) / @app.middleware",
        lambda: request(ours, "/"),
        lambda: request(usual, "/"),
        500,
    )


async def responses() -> None:
    """R1: a page of 100 rows as a model, and as untyped dictionaries."""
    rows = [ItemRead.model_validate(ITEM)] * 100
    app = FastAPI()

    @app.get("/typed")
    async def typed() -> Page[ItemRead]:
        return Page(results=rows, next_cursor=None)

    @app.get("/untyped")
    async def untyped():  # type: ignore[no-untyped-def]
        return {"results": [{**ITEM} for _ in range(100)], "next_cursor": None}

    await compare(
        "R1 100 rows: response model / untyped dicts",
        lambda: request(app, "/typed"),
        lambda: request(app, "/untyped"),
        20,
    )


async def compression() -> None:
    """R2: levels of gzip on a page of 100 rows, and the largest that stays on the loop."""

    def page(count: int) -> bytes:
        rows = [
            ItemRead(
                id=number,
                name=f"item {number * 7919 % 1000}",
                quantity=number * 104729 % 9973,
                owner=OwnerRead(id=number % 20 + 1, name=f"Owner {number % 20}"),
                tags=["green", "hot"],
                created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number**2),
            )
            for number in range(count)
        ]
        return Page(results=rows, next_cursor=None).model_dump_json().encode()

    body = page(100)

    def level(number: int) -> Call:
        async def compress() -> None:
            gzip.compress(body, number, mtime=0)

        return compress

    await compare(f"R2 gzip of {len(body):,} bytes: level 4 / level 9", level(4), level(9), 50)
    sizes = {number: len(gzip.compress(body, number)) for number in (1, 4, 6, 9)}
    print(f"R2 bytes left at level {', '.join(f'{n}: {size:,}' for n, size in sizes.items())}")
    large = page(1000)[:LARGE]
    started = time.perf_counter()
    gzip.compress(large, 4, mtime=0)
    print(f"R2 gzip of {LARGE:,} bytes at level 4: {(time.perf_counter() - started) * 1e3:.2f} ms")


async def outbound(database: Database) -> None:
    """P2: a call of another service, by the client of all calls and by one of its own."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            if not (await reader.readuntil(b"\r\n\r\n")):
                break
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    outbound = Outbound(OutboundSettings(upstreams={"other": HttpUrl(url)}))

    async def usual() -> None:
        async with AsyncClient() as client:
            (await client.get(url)).raise_for_status()

    async with server, outbound.opened(database), AsyncClient() as bare:
        call = outbound.upstreams["other"].send
        await compare("P2 call: one client / a client each", lambda: call("GET", "/"), usual, 5)
        await compare(
            "P2 call: with gate, retries, errors / bare client",
            lambda: call("GET", "/"),
            lambda: bare.get(url),
            times=50,
        )


async def main() -> None:
    """Measure everything on a database of 400,000 rows."""
    print(f"{platform.python_implementation()} {sys.version}".replace("\n", " "))
    print(f"{'':<58} {'ours':>12} {'usual':>12}   usual/ours")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/bench.db"
        async with open_database(DatabaseSettings(url=url)) as database:
            async with database.writes.session() as session:
                connection = await session.connection()
                await connection.run_sync(Base.metadata.create_all)
                start = datetime(2026, 1, 1, tzinfo=UTC)
                for first in range(0, ROWS, 10_000):
                    await session.execute(
                        insert(Item),
                        [
                            {
                                "name": f"item {number}",
                                "quantity": 0,
                                "created_at": start + timedelta(seconds=number),
                            }
                            for number in range(first, first + 10_000)
                        ],
                    )
            await pagination(database)
            await reading(database, url)
            await writing(database, url)
            await layers(database)
            await outbound(database)
    await instruments()
    await logs()
    await scrape()
    await responses()
    await streaming()
    await compression()


asyncio.run(main())
