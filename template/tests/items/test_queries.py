"""The SQL of the example: few statements, few columns, the right index."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from app.database import BusyError, Database, DatabaseSettings, Query, Row
from app.items import queries
from app.items.models import Item, Owner, Tag
from app.items.schemas import ItemStats
from tests.conftest import recorded
from tests.waiting import HANG

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


async def fill(database: Database, count: int) -> None:
    """Make items, each with an owner and two tags."""
    async with database.writes.session() as session:
        await session.execute(insert(Owner), [{"id": n, "name": f"Owner {n}"} for n in (1, 2, 3)])
        items = [
            {
                "id": n,
                "name": f"item {n}",
                "quantity": n,
                "owner_id": 1 + n % 3,
                "created_at": FIRST + timedelta(seconds=n // 2),  # two share each moment
            }
            for n in range(1, count + 1)
        ]
        await session.execute(insert(Item), items)
        tags = [{"item_id": item["id"], "name": name} for item in items for name in ("hot", "new")]
        await session.execute(insert(Tag), tags)


@pytest.mark.parametrize("rows", [1, 50])
async def test_a_page_is_two_statements_that_name_their_columns(
    database: Database, rows: int
) -> None:
    await fill(database, rows)

    with recorded(database) as statements:
        page, _ = await queries.page(database.reads, limit=100, cursor=None)

    assert len(page) == rows
    assert all(item.owner and item.tags == ["hot", "new"] for item in page)
    items, tags = statements
    assert items.split("FROM")[0].split() == [
        "SELECT",
        "items.id,",
        "items.name,",
        "items.quantity,",
        "items.created_at,",
        "items.owner_id,",
        "owners.name",
        "AS",
        "owner_name",
    ]
    assert tags.split("FROM")[0].split() == ["SELECT", "tags.item_id,", "tags.name"]


async def test_an_item_is_one_statement(database: Database) -> None:
    await fill(database, 3)

    with recorded(database) as statements:
        item = await queries.get(database.reads, 2)

    assert item
    assert item.tags == ["hot", "new"]
    assert len(statements) == 1


async def test_every_row_is_met_once_by_cursor(database: Database) -> None:
    await fill(database, 1000)
    met: list[int] = []
    cursor: str | None = None

    while True:
        page, cursor = await queries.page(database.reads, limit=37, cursor=cursor)
        met += [item.id for item in page]
        async with database.writes.session() as session:  # a new one on every page
            session.add(Item(id=1001 + len(met), name="new", quantity=0))
        if cursor is None:
            break

    assert met == list(range(1000, 0, -1))


async def test_a_batch_follows_the_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database, 25)
    monkeypatch.setattr(queries, "FIRST_BATCH", 10)

    async with asyncio.timeout(HANG):
        sizes = [len(batch) async for batch in queries.batches(database.reads)]

    assert sizes == [10, 10, 5]


@pytest.mark.parametrize(
    ("query", "parameters", "index"),
    [
        (queries.ONE, {"id": 7}, ""),
        (queries.PAGE, {"limit": 21}, "ix_items_created_at_id"),
        (
            queries.NEXT_PAGE,
            {"limit": 21, "created_at": FIRST + timedelta(seconds=7), "id": 7},
            "ix_items_created_at_id",
        ),
        (queries.BATCH, {"limit": 1000, "last": 7}, ""),
    ],
)
async def test_hot_queries_walk_an_index(
    database: Database,
    plan: Callable[..., Awaitable[str]],
    query: Query,
    parameters: dict[str, Any],
    index: str,
) -> None:
    await fill(database, 20_000)  # in a small table no index pays

    found = await plan(query, **parameters)

    assert index in found
    assert "SORT" not in found


class SlowReads:
    """The read road, where every statement takes a while."""

    def __init__(self, database: Database, seconds: float) -> None:
        self.reads, self.gate = database.reads, database.reads.gate
        self.seconds = seconds
        self.begun = self.cancelled = 0

    async def one(self, query: Query, **parameters: Any) -> Row | None:
        await self._take_a_while()
        return await self.reads.one(query, **parameters)

    async def all(self, query: Query, **parameters: Any) -> list[Row]:
        await self._take_a_while()
        return await self.reads.all(query, **parameters)

    async def _take_a_while(self) -> None:
        self.begun += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class TestStats:
    async def test_they_add_up(self, database: Database) -> None:
        await fill(database, 6)

        stats = await queries.stats(database.reads)

        assert stats == ItemStats.model_validate(
            {
                "items": 6,
                "quantity": 21,
                "owners": [
                    {"owner": "Owner 3", "quantity": 7},
                    {"owner": "Owner 2", "quantity": 5},
                    {"owner": "Owner 1", "quantity": 9},
                ],
                "tags": [{"tag": "hot", "items": 6}, {"tag": "new", "items": 6}],
            }
        ).model_copy(update={"owners": stats.owners})
        assert {owner.owner: owner.quantity for owner in stats.owners} == {
            "Owner 1": 9,
            "Owner 2": 5,
            "Owner 3": 7,
        }
        assert [owner.quantity for owner in stats.owners] == [9, 7, 5]

    async def test_there_may_be_nothing_to_sum_up(self, database: Database) -> None:
        assert (await queries.stats(database.reads)).quantity == 0

    async def test_they_run_at_once(self, database: Database) -> None:
        together = asyncio.Barrier(3)

        class Waiting(SlowReads):
            async def one(self, query: Query, **parameters: Any) -> Row | None:
                await together.wait()
                return await super().one(query, **parameters)

            async def all(self, query: Query, **parameters: Any) -> list[Row]:
                await together.wait()
                return await super().all(query, **parameters)

        async with asyncio.timeout(HANG):  # one after the other they would wait for ever
            await queries.stats(Waiting(database, 0))

    async def test_the_first_error_is_the_answer_and_ends_the_others(
        self, database: Database
    ) -> None:
        class Failing(SlowReads):
            async def one(self, query: Query, **parameters: Any) -> Row | None:
                raise BusyError

        reads = Failing(database, 2 * HANG)
        with pytest.raises(BusyError):
            await queries.stats(reads)

        assert reads.cancelled == reads.begun > 0


class TestSmallPool:
    @pytest.fixture(params=[1, 2])
    def settings(
        self, settings: DatabaseSettings, request: pytest.FixtureRequest
    ) -> DatabaseSettings:
        return settings.model_copy(update={"read_pool": request.param})

    @pytest.fixture
    async def filled(self, database: Database) -> Database:
        await fill(database, 30)
        return database

    async def test_parallel_reads_never_lock_up(self, filled: Database) -> None:
        async with asyncio.timeout(HANG):
            stats = await asyncio.gather(*(queries.stats(filled.reads) for _ in range(20)))

        assert {one.items for one in stats} == {30}

    async def test_an_export_that_stands_still_holds_no_connection(
        self, filled: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queries, "FIRST_BATCH", 10)
        exports = [queries.batches(filled.reads) for _ in range(5)]
        for export in exports:
            await anext(export)

        async with asyncio.timeout(HANG):
            assert await queries.get(filled.reads, 1)

        for export in exports:
            assert len([batch async for batch in export]) == 2
