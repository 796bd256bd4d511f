"""What a write makes stale, told by the session itself: no route can forget it.

The unit of work knows which rows it has changed; a feature says which tags that means. Any
other statement of the session, a bulk update say, makes everything stale. What goes past the
session, by its connection or `bulk_update_mappings`, is not seen.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker

from app.caching.entries import Store
from app.caching.policies import EVERYTHING
from app.database.writes import WriteRoad

# Returns the tags of what a changed row makes stale, none for a row of no concern.
StaleTags = Callable[[Any], Iterable[str]]

_CHANGED = "app.caching.changed"


@asynccontextmanager
async def invalidating(
    store: Store, writes: WriteRoad, stale_tags: StaleTags
) -> AsyncIterator[None]:
    """Invalidate what the sessions of `writes` change, after their commit and before the answer."""

    async def after_commit(session: AsyncSession) -> None:
        if changed := take_changed(session.info):
            await store.invalidate(changed)

    with noting_changes(writes.sessions, stale_tags):
        writes.after_commit.append(after_commit)
        try:
            yield
        finally:
            writes.after_commit.remove(after_commit)


@contextmanager
def noting_changes(sessions: sessionmaker[Session], stale_tags: StaleTags) -> Iterator[None]:
    """Have these sessions note which tags what they change makes stale."""

    def after_flush(session: Session, _: Any) -> None:
        changed = session.info.setdefault(_CHANGED, set())
        for row in (*session.new, *session.dirty, *session.deleted):
            changed.update(stale_tags(row))

    def on_execute(state: ORMExecuteState) -> None:
        if not state.is_select:
            state.session.info.setdefault(_CHANGED, set()).add(EVERYTHING)

    event.listen(sessions, "after_flush", after_flush)
    event.listen(sessions, "do_orm_execute", on_execute)
    try:
        yield
    finally:
        event.remove(sessions, "do_orm_execute", on_execute)
        event.remove(sessions, "after_flush", after_flush)


def take_changed(info: MutableMapping[Any, Any]) -> list[str]:
    """Return the tags that a session has noted in its `info`, once."""
    return sorted(info.pop(_CHANGED, ()))
