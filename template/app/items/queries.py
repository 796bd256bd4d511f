"""The reads of the feature, built once at import and naming only the columns they need."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field
from sqlalchemy import Row, bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.items.models import Item
from app.items.schemas import MAX_ID
from app.pagination import Cursor

ItemKey = tuple[
    Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))],
    Annotated[int, Field(ge=1, le=MAX_ID)],
]
ItemRow = Row[int, str, int, datetime]

CURSOR: Cursor[tuple[datetime, int]] = Cursor(ItemKey)

_COLUMNS = (Item.id, Item.name, Item.quantity, Item.created_at)
_ONE = select(*_COLUMNS).where(Item.id == bindparam("id"))
_PAGE = (
    select(*_COLUMNS)
    .order_by(Item.created_at.desc(), Item.id.desc())
    .limit(bindparam("limit", type_=Item.id.type))
)
# A row-value comparison: it walks the index, where the equivalent OR cannot.
_NEXT_PAGE = _PAGE.where(
    tuple_(Item.created_at, Item.id)
    < tuple_(
        bindparam("created_at", type_=Item.created_at.type),
        bindparam("id", type_=Item.id.type),
    )
)


async def get(reads: AsyncConnection, item_id: int) -> ItemRow | None:
    """Return one item, or None."""
    return (await reads.execute(_ONE, {"id": item_id})).one_or_none()


async def page(
    reads: AsyncConnection, limit: int, cursor: str | None
) -> tuple[Sequence[ItemRow], str | None]:
    """Return at most `limit` items, newest first, and the cursor of the next page.

    Raises:
        ProblemError: 422, when the cursor is not valid.
    """
    parameters: dict[str, object] = {"limit": limit + 1}
    if cursor is None:
        rows = (await reads.execute(_PAGE, parameters)).all()
    else:
        parameters["created_at"], parameters["id"] = CURSOR.decode(cursor)
        rows = (await reads.execute(_NEXT_PAGE, parameters)).all()
    return CURSOR.split(rows, limit, key=lambda row: (row.created_at, row.id))
