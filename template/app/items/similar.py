"""Items with a similar name, which are perhaps the same: computed in the process pool."""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from app.database import Query, Reads
from app.errors import ProblemError
from app.items import queries
from app.items.models import Item
from app.items.schemas import ItemId
from app.items.similarity import most_similar
from app.process_pool import Processes

router = APIRouter(tags=["items"])

# As many as are read in milliseconds; to compare them takes twenty times as long.
NEWEST = Query(
    select(Item.id, Item.name).order_by(Item.created_at.desc(), Item.id.desc()).limit(1000)
)


class SimilarItem(BaseModel):
    """An item, and how alike its name is: 1 is the same."""

    id: int
    name: str
    similarity: float


@router.get("/items/{item_id}/similar")
async def list_similar(item_id: ItemId, reads: Reads, processes: Processes) -> list[SimilarItem]:
    """List the items, of the newest, whose names are most like this one's."""
    item = await queries.get(reads, item_id)
    if item is None:
        raise ProblemError(404, f"There is no item {item_id}.")
    names = [(row["id"], row["name"]) for row in await reads.all(NEWEST) if row["id"] != item_id]
    found = await processes.run(most_similar, item.name, names, number=5)
    return [SimilarItem(id=id_, name=name, similarity=alike) for alike, id_, name in found]
