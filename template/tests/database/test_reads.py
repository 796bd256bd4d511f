"""The read road: the same rows as the write road's, by less."""

import asyncio
import enum
import gc
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    Enum,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    bindparam,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import MultipleResultsFound

from app.database import ID, Database, DatabaseSettings, Query, UTCDateTime, any_of
from tests.database.scratch import existing
from tests.waiting import HANG


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


kinds = Table(
    "kinds",
    MetaData(),
    Column("id", ID, primary_key=True),
    Column("text", Text),
    Column("name", String(50)),
    Column("flag", Boolean),
    Column("price", Numeric(12, 2)),
    Column("ratio", Float),
    Column("mood", Enum(Mood, name="mood")),
    Column("uuid", Uuid),
    Column("json", JSON),
    Column("bytes", LargeBinary(100)),
    Column("day", Date),
    Column("hour", Time),
    Column("moment", UTCDateTime),
)

FULL: dict[str, Any] = {
    "id": 1,
    "text": "tea 🍵 'quoted' %s :name $1",
    "name": "",
    "flag": True,
    "price": Decimal("1234567890.10"),
    "ratio": 0.1,
    "mood": Mood.BAD,
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "json": {"a": [1, None, "é"]},
    "bytes": b"\x00\xff",
    "day": date(2026, 1, 2),
    "hour": time(3, 4, 5),
    "moment": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
}
EMPTY: dict[str, Any] = {**dict.fromkeys(FULL), "id": 2}
ALL = Query(select(kinds).order_by(kinds.c.id))
BY_ID = Query(select(kinds.c.id).where(any_of(kinds.c.id, "ids")).order_by(kinds.c.id))


@pytest.fixture
async def _kinds(database: Database) -> AsyncIterator[None]:
    async with existing(database, kinds):
        async with database.writes.session() as session:
            await session.execute(insert(kinds), [FULL, EMPTY])
        yield


@pytest.mark.usefixtures("_kinds")
class TestRows:
    async def test_both_roads_give_equal_rows_of_every_type(self, database: Database) -> None:
        rows = await database.reads.all(ALL)

        async with database.writes.session() as session:
            others = await session.execute(ALL.statement)
            assert rows == [dict(row) for row in others.mappings()]
        # JSON knows a null of its own, which is what None is stored as.
        assert rows == [FULL, EMPTY]
        for row, wanted in zip(rows, [FULL, EMPTY], strict=True):
            for name, value in wanted.items():
                assert isinstance(row[name], type(value)), name

    @pytest.mark.parametrize("name", [name for name in FULL if name not in ("json", "ratio")])
    async def test_every_type_can_be_a_parameter(self, database: Database, name: str) -> None:
        column = kinds.c[name]
        query = Query(select(kinds.c.id).where(column == bindparam("wanted", type_=column.type)))

        assert await database.reads.one(query, wanted=FULL[name]) == {"id": 1}

    async def test_there_may_be_none(self, database: Database) -> None:
        query = Query(select(kinds.c.id).where(kinds.c.id == bindparam("id")))

        assert await database.reads.one(query, id=3) is None

    async def test_more_than_one_is_an_error(self, database: Database) -> None:
        with pytest.raises(MultipleResultsFound):
            await database.reads.one(ALL)

    @pytest.mark.parametrize(("ids", "found"), [([], []), ([2], [2]), ([1, 2, 3], [1, 2])])
    async def test_any_of_takes_a_list(
        self, database: Database, ids: list[int], found: list[int]
    ) -> None:
        assert [row["id"] for row in await database.reads.all(BY_ID, ids=ids)] == found

    async def test_a_value_in_the_statement_is_kept(self, database: Database) -> None:
        query = Query(select(kinds.c.id, literal("x").label("x")).where(kinds.c.id < 2).limit(5))

        assert await database.reads.all(query) == [{"id": 1, "x": "x"}]


def test_columns_need_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="2 columns are named id"):
        Query(select(kinds.c.id, kinds.alias().c.id))
    with pytest.raises(ValueError, match="no name"):
        Query(select(func.count()))


SUM = Query(select((bindparam("a", type_=Integer) + bindparam("b", type_=Integer)).label("sum")))


async def test_many_reads_at_once(database: Database) -> None:
    rows = await asyncio.gather(*(database.reads.one(SUM, a=n, b=1) for n in range(200)))

    assert rows == [{"sum": n + 1} for n in range(200)]


async def test_a_cancelled_read_leaves_a_clean_connection(
    database: Database, settings: DatabaseSettings
) -> None:
    for patience in range(60):
        tasks = [
            asyncio.create_task(database.reads.one(SUM, a=n, b=1))
            for n in range(settings.read_pool + 2)
        ]
        await asyncio.sleep(patience * 0.0001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        async with asyncio.timeout(HANG):
            assert await database.reads.one(SUM, a=patience, b=2) == {"sum": patience + 2}


async def test_a_statement_that_fails_leaves_a_clean_connection(database: Database) -> None:
    missing = Query(select(Table("missing", MetaData(), Column("id", Integer)).c.id))

    for n in range(30):
        with pytest.raises(Exception, match="missing"):
            await database.reads.all(missing)
        assert await database.reads.one(SUM, a=n, b=2) == {"sum": n + 2}


async def test_the_error_of_a_read_tells_no_values(database: Database) -> None:
    name = Table("missing", MetaData(), Column("name", String(20))).c.name
    query = Query(select(name).where(name == bindparam("wanted")))

    with pytest.raises(Exception, match="missing") as failed:
        await database.reads.all(query, wanted="hunter2")

    assert "hunter2" not in str(failed.value)


async def test_moments_without_a_zone_are_refused(database: Database) -> None:
    query = Query(select(bindparam("moment", type_=UTCDateTime).label("moment")))

    with pytest.raises(Exception, match=r"zone|naive"):
        await database.reads.one(query, moment=datetime(2026, 1, 1))


async def test_a_query_that_is_made_for_a_request_goes_with_it(database: Database) -> None:
    def queries() -> int:
        gc.collect()
        return sum(isinstance(it, Query) for it in gc.get_objects())

    before = queries()
    for number in range(20):
        await database.reads.all(Query(select(literal(number).label("number"))))

    assert queries() <= before
