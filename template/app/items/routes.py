"""The endpoints: each reads as route, query, answer."""

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from app.database import Reads, WriteSession
from app.errors import ProblemError
from app.etags import IfMatch
from app.items import queries
from app.items.models import Item, Owner, Tag
from app.items.schemas import (
    ItemCreate,
    ItemId,
    ItemRead,
    ItemStats,
    ItemUpdate,
    OwnerCreate,
    OwnerRead,
)
from app.pagination import NumberedPage, NumberedPageQuery, Page, PageQuery
from app.streaming import JSONLines, json_lines

# FastAPI tries routes in this order: the busiest come first.
router = APIRouter(tags=["items"])


@router.get("/items/{item_id}")
async def get_item(item_id: ItemId, reads: Reads) -> ItemRead:
    """Return one item; a hot route, see `app/hot.py`."""
    item = await queries.get(reads, item_id)
    if item is None:
        raise _not_found(item_id)
    return item


@router.get("/items")
async def list_items(page: PageQuery, reads: Reads) -> Page[ItemRead]:
    """List items, newest first, a page at a time."""
    items, next_cursor = await queries.page(reads, page.limit, page.cursor)
    return Page(results=items, next_cursor=next_cursor)


@router.post("/owners", status_code=201)
async def create_owner(new: OwnerCreate, session: WriteSession) -> OwnerRead:
    """Create an owner."""
    owner = Owner(name=new.name)
    session.add(owner)
    await session.flush()
    return OwnerRead.model_validate(owner)


@router.get("/owners")
async def list_owners(page: NumberedPageQuery, reads: Reads) -> NumberedPage[OwnerRead]:
    """List owners by name, by the number of a page: simple, and slower with each page."""
    return page.of(await queries.owners(reads, page.size + 1, page.offset))


@router.post("/items", status_code=201)
async def create_item(new: ItemCreate, session: WriteSession, response: Response) -> ItemRead:
    """Create an item."""
    owner = None
    if new.owner_id is not None:
        owner = await session.get(Owner, new.owner_id)
        if owner is None:
            raise ProblemError(422, f"There is no owner {new.owner_id}.")
    item = Item(name=new.name, quantity=new.quantity, owner=owner, tags=_tags(new.tags))
    session.add(item)
    await session.flush()
    response.headers["Location"] = f"/items/{item.id}"
    return _read(item)


@router.get("/items.jsonl", response_class=JSONLines, responses=JSONLines.of(ItemRead))
async def export_items(reads: Reads) -> JSONLines:
    """Send all items, one a line."""
    return await json_lines(queries.batches(reads))


@router.get("/item-stats")
async def get_stats(reads: Reads) -> ItemStats:
    """Sum up all items."""
    return await queries.stats(reads)


@router.patch("/items/{item_id}")
async def update_item(
    item_id: ItemId, changes: ItemUpdate, session: WriteSession, if_match: IfMatch
) -> ItemRead:
    """Change the fields that were sent."""
    item = await _find(session, item_id)
    if_match.check(_read(item))
    for field, value in changes.model_dump().items():
        setattr(item, field, _tags(value) if field == "tags" else value)
    return _read(item)


@router.delete("/items/{item_id}", status_code=204)
async def delete_item(item_id: ItemId, session: WriteSession, if_match: IfMatch) -> None:
    """Delete an item, and its tags with it."""
    item = await _find(session, item_id)
    if_match.check(_read(item))
    await session.delete(item)


async def _find(session: AsyncSession, item_id: int) -> Item:
    # Locked: two changes at once would both add the same tag.
    loaded = [selectinload(Item.owner), selectinload(Item.tags)]
    item = await session.get(Item, item_id, options=loaded, with_for_update=True)
    if item is None:
        raise _not_found(item_id)
    return item


def _tags(names: list[str]) -> list[Tag]:
    return [Tag(name=name) for name in names]


def _read(item: Item) -> ItemRead:
    return ItemRead(
        id=item.id,
        name=item.name,
        quantity=item.quantity,
        owner=item.owner and OwnerRead.model_validate(item.owner),
        tags=sorted(tag.name for tag in item.tags),
        created_at=item.created_at,
    )


def _not_found(item_id: int) -> ProblemError:
    return ProblemError(404, f"There is no item {item_id}.")
