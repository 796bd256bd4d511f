"""The reads of the feature, made once at import and naming only the columns they need."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, TypeAdapter
from sqlalchemy import bindparam, func, select

from app.database import ID, Query, ReadRoad, Row, any_of
from app.items.models import Item, Owner, Tag
from app.items.schemas import ItemId, ItemRead, ItemStats, OwnerRead
from app.pagination import Cursor, after, limit_to, offset_by

ItemKey = tuple[
    Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))],
    ItemId,
]

CURSOR: Cursor[tuple[datetime, int]] = Cursor(ItemKey)

FIRST_BATCH = 100  # rows of an export; the stream asks for as many as fit its size

_READ = TypeAdapter(list[ItemRead])

_ITEMS = select(
    Item.id,
    Item.name,
    Item.quantity,
    Item.created_at,
    Item.owner_id,
    Owner.name.label("owner_name"),
).outerjoin(Item.owner)

# One item has few tags, so the join sends little twice. For many items it would: they get
# their tags with a second statement.
ONE = Query(
    _ITEMS.add_columns(Tag.name.label("tag")).outerjoin(Item.tags).where(Item.id == bindparam("id"))
)
TAGS = Query(select(Tag.item_id, Tag.name).where(any_of(Tag.item_id, "items")))

_NEWEST_FIRST = limit_to(_ITEMS.order_by(Item.created_at.desc(), Item.id.desc()))
PAGE = Query(_NEWEST_FIRST)
NEXT_PAGE = Query(_NEWEST_FIRST.where(after(Item.created_at, Item.id)))

BATCH = Query(limit_to(_ITEMS.where(Item.id > bindparam("last", type_=ID)).order_by(Item.id)))

OWNERS = Query(offset_by(limit_to(select(Owner.id, Owner.name).order_by(Owner.name, Owner.id))))

TOTALS = Query(
    select(
        func.count().label("items"), func.coalesce(func.sum(Item.quantity), 0).label("quantity")
    ).select_from(Item)
)
_sum = func.sum(Item.quantity)
BY_OWNER = Query(
    select(Owner.name.label("owner"), _sum.label("quantity"))
    .join(Item.owner)
    .group_by(Owner.id, Owner.name)
    .order_by(_sum.desc(), Owner.name)
    .limit(10)
)
_count = func.count()
BY_TAG = Query(
    select(Tag.name.label("tag"), _count.label("items"))
    .group_by(Tag.name)
    .order_by(_count.desc(), Tag.name)
    .limit(10)
)


async def get(reads: ReadRoad, item_id: int) -> ItemRead | None:
    """Return one item, or None."""
    rows = await reads.all(ONE, id=item_id)
    if not rows:
        return None
    tags = [row["tag"] for row in rows if row["tag"] is not None]
    return ItemRead.model_validate(_nested(rows[0], tags))


async def page(
    reads: ReadRoad, limit: int, cursor: str | None
) -> tuple[list[ItemRead], str | None]:
    """Return at most `limit` items, newest first, and the cursor of the next page.

    Raises:
        ProblemError: 422, when the cursor is not valid.
    """
    if cursor is None:
        rows = await reads.all(PAGE, limit=limit + 1)
    else:
        created_at, last = CURSOR.decode(cursor)
        rows = await reads.all(NEXT_PAGE, limit=limit + 1, created_at=created_at, id=last)
    rows, next_cursor = CURSOR.split(rows, limit, key=lambda row: (row["created_at"], row["id"]))
    return await _with_tags(reads, rows), next_cursor


async def batches(reads: ReadRoad) -> AsyncGenerator[list[ItemRead], int]:
    """Give all items, in the order of their ids.

    Each batch is a read of its own that begins after the last row of the one before, so
    a client that reads slowly, or has gone, holds no connection and no snapshot.
    """
    last, limit = 0, FIRST_BATCH
    while rows := await reads.all(BATCH, last=last, limit=limit):
        last = rows[-1]["id"]
        limit = (yield await _with_tags(reads, rows)) or limit


async def owners(reads: ReadRoad, limit: int, offset: int) -> list[OwnerRead]:
    """Return at most `limit` owners by name, after the first `offset`."""
    rows = await reads.all(OWNERS, limit=limit, offset=offset)
    return [OwnerRead.model_validate(row) for row in rows]


async def stats(reads: ReadRoad) -> ItemStats:
    """Return the numbers of all items.

    Each statement reads a whole table, so they run at once, each on a connection of its
    own. For short statements, or under load, one after the other is as fast or faster.
    """
    try:
        async with asyncio.TaskGroup() as group:
            totals = group.create_task(reads.one(TOTALS))
            by_owner = group.create_task(reads.all(BY_OWNER))
            by_tag = group.create_task(reads.all(BY_TAG))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the others were cancelled
    return ItemStats.model_validate(
        {**(totals.result() or {}), "owners": by_owner.result(), "tags": by_tag.result()}
    )


async def _with_tags(reads: ReadRoad, rows: list[Row]) -> list[ItemRead]:
    tags: defaultdict[int, list[str]] = defaultdict(list)
    if rows:
        for tag in await reads.all(TAGS, items=[row["id"] for row in rows]):
            tags[tag["item_id"]].append(tag["name"])
    return _READ.validate_python([_nested(row, tags[row["id"]]) for row in rows])


def _nested(row: Row, tags: list[str]) -> Row:
    owner = row["owner_id"] and {"id": row["owner_id"], "name": row["owner_name"]}
    return {**row, "owner": owner, "tags": sorted(tags)}
