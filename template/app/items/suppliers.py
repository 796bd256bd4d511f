"""What suppliers ask for an item: other services, called at the same time."""

from decimal import Decimal
from operator import attrgetter

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.database import Reads
from app.errors import ProblemError
from app.items import queries
from app.items.schemas import ItemId
from app.outbound import Upstream, Upstreams, for_each

router = APIRouter(tags=["items"])

# By their names in OUTBOUND_UPSTREAMS; one that is not there is not asked.
SUPPLIERS = ("north", "south", "west")


class Price(BaseModel):
    """A supplier's answer."""

    price: Decimal = Field(ge=0, max_digits=12, decimal_places=2)


class Offer(BaseModel):
    """What a supplier asks for an item."""

    supplier: str
    price: Decimal


@router.get("/items/{item_id}/offers")
async def list_offers(item_id: ItemId, reads: Reads, upstreams: Upstreams) -> list[Offer]:
    """List offers, the best first; a supplier that does not have the item makes none."""
    # The connection is back in its pool before anybody is called.
    if await queries.get(reads, item_id) is None:
        raise ProblemError(404, f"There is no item {item_id}.")

    async def ask(supplier: Upstream) -> Offer | None:
        answer = await supplier.get(f"/prices/{item_id}", Price)
        if answer is None:
            return None
        return Offer(supplier=supplier.name, price=answer.price)

    suppliers = [upstreams[name] for name in SUPPLIERS if name in upstreams]
    offers = await for_each(suppliers, ask)
    return sorted(filter(None, offers), key=attrgetter("price"))
