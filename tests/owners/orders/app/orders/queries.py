"""The reads of the feature."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime
from sqlalchemy import bindparam, func, select

from app.database import Query, ReadRoad
from app.fields import Id
from app.orders.models import Order
from app.orders.schemas import OrderRead
from app.pagination import Cursor, after, limit_to

OrderKey = tuple[
    Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))], Id
]
CURSOR: Cursor[tuple[datetime, int]] = Cursor(OrderKey)

_ORDERS = select(Order.id, Order.item_id, Order.amount, Order.created_at)
ONE = Query(_ORDERS.where(Order.id == bindparam("id")))
_NEWEST_FIRST = limit_to(_ORDERS.order_by(Order.created_at.desc(), Order.id.desc()))
PAGE = Query(_NEWEST_FIRST)
NEXT_PAGE = Query(_NEWEST_FIRST.where(after(Order.created_at, Order.id)))
TOTAL = Query(select(func.coalesce(func.sum(Order.amount), 0).label("amount")))


async def get(reads: ReadRoad, order_id: int) -> OrderRead | None:
    """Return one order, or None."""
    row = await reads.one(ONE, id=order_id)
    return None if row is None else OrderRead.model_validate(row)


async def page(
    reads: ReadRoad, limit: int, cursor: str | None
) -> tuple[list[OrderRead], str | None]:
    """Return at most `limit` orders, newest first, and the cursor of the next page."""
    if cursor is None:
        rows = await reads.all(PAGE, limit=limit + 1)
    else:
        created_at, last = CURSOR.decode(cursor)
        rows = await reads.all(NEXT_PAGE, limit=limit + 1, created_at=created_at, id=last)
    rows, next_cursor = CURSOR.split(rows, limit, key=lambda row: (row["created_at"], row["id"]))
    return [OrderRead.model_validate(row) for row in rows], next_cursor
