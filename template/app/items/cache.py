"""What is kept of this feature's answers, for how long, and what a changed row makes stale."""

from app.caching import Cached, Policies
from app.items.models import Item, Owner, Tag

POLICIES: Policies = {
    "/items": Cached(seconds=30, query=["limit", "cursor"], tags=["items", "owners"]),
    "/items/{item_id}": Cached(seconds=60, tags=["item:{item_id}", "owners"]),
}


def stale_tags(changed: object) -> list[str]:
    """Return the tags of what a changed row makes stale."""
    match changed:
        case Item():
            return ["items", f"item:{changed.id}"]
        case Tag():
            return ["items", f"item:{changed.item_id}"]
        case Owner():
            return ["owners"]
    return []
