"""The endpoints: each reads as route, query, answer."""

from fastapi import APIRouter, Response

from app.database import Reads, WriteSession
from app.errors import ProblemError
from app.items import queries
from app.items.models import Item
from app.items.schemas import ItemCreate, ItemId, ItemRead, ItemUpdate
from app.pagination import Page, PageQuery

router = APIRouter(prefix="/items", tags=["items"])


@router.post("", status_code=201)
async def create_item(new: ItemCreate, session: WriteSession, response: Response) -> ItemRead:
    """Create an item."""
    item = Item(**new.model_dump())
    session.add(item)
    await session.flush()
    response.headers["Location"] = f"/items/{item.id}"
    return ItemRead.model_validate(item)


@router.get("")
async def list_items(page: PageQuery, reads: Reads) -> Page[ItemRead]:
    """List items, newest first, a page at a time."""
    rows, next_cursor = await queries.page(reads, page.limit, page.cursor)
    return Page(results=[ItemRead.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.get("/{item_id}")
async def get_item(item_id: ItemId, reads: Reads) -> ItemRead:
    """Return one item."""
    row = await queries.get(reads, item_id)
    if row is None:
        raise _not_found(item_id)
    return ItemRead.model_validate(row)


@router.patch("/{item_id}")
async def update_item(item_id: ItemId, changes: ItemUpdate, session: WriteSession) -> ItemRead:
    """Change the fields that were sent."""
    item = await session.get(Item, item_id)
    if item is None:
        raise _not_found(item_id)
    for field, value in changes.model_dump().items():
        setattr(item, field, value)
    return ItemRead.model_validate(item)


@router.delete("/{item_id}", status_code=204)
async def delete_item(item_id: ItemId, session: WriteSession) -> None:
    """Delete an item."""
    item = await session.get(Item, item_id)
    if item is None:
        raise _not_found(item_id)
    await session.delete(item)


def _not_found(item_id: int) -> ProblemError:
    return ProblemError(404, f"There is no item {item_id}.")
