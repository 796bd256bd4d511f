"""Which responses are kept, and what a changed row makes stale."""

from app.caching import Cached, Policies
from app.orders.models import Order

POLICIES: Policies = {
    "/orders": Cached(seconds=30, query=["limit", "cursor"], tags=["orders"]),
    "/orders/{order_id}": Cached(seconds=60, tags=["order:{order_id}"]),
}


def stale_tags(changed: object) -> list[str]:
    """Return the tags of what a changed row makes stale."""
    match changed:
        case Order():
            return ["orders", f"order:{changed.id}"]
    return []
