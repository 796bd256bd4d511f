"""An answer that is kept, and where entries are kept."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from app.observability.counts import Count

ERRORS = Count("cache_errors", "Times that the cache could not be reached, or refused a command.")

# A tag's generation changes when what it stands for does. Entries hold those from before
# their rows were read, so that a write also beats a fill that began before it.
Generations = tuple[Any, ...]


@dataclass(slots=True)
class Entry:
    """A whole answer.

    Args:
        status: its HTTP status.
        headers: as ASGI has them, the validators included.
        etag: of the body.
        body: its bytes, in whatever content coding.
        made: when, in seconds since the epoch.
        seconds: how long it may be kept.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    etag: bytes
    body: bytes
    made: float
    seconds: float


@dataclass(slots=True)
class Found:
    """What a store has under a key: an entry that is good now, or none.

    Args:
        entry: None when there is none, it is too old, or something in it has changed.
        generations: of the tags, now; of those that an entry would be made from.
        stale: whether there was one that a write has made useless.
    """

    entry: Entry | None
    generations: Generations
    stale: bool = False


@dataclass(slots=True)
class Fill:
    """The right to make an entry, which one process at a time has.

    Args:
        found: what there was once the right had been given: another may have just made the entry.
        token: its owner's, so that nobody else gives it back.
        mine: whether that is who has asked.
    """

    found: Found
    token: bytes = b""
    mine: bool = True


class Store(Protocol):
    """Keeps entries. None of its methods raises because it cannot be reached: it has nothing then."""

    writes: int  # that this process has told it of

    async def get(self, key: bytes, tags: Sequence[str]) -> Found:
        """Return the entry of a key, if it is good."""

    async def begin(self, key: bytes, tags: Sequence[str]) -> Fill:
        """Ask for the right to fill a key that was not found; it may be another process's."""

    async def end(self, key: bytes, tags: Sequence[str], fill: Fill, entry: Entry | None) -> None:
        """Keep the entry, if there is one, and give the right back."""

    async def invalidate(self, tags: Sequence[str]) -> None:
        """Make every entry with one of these tags useless, those that are being made too."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Return what holds it open."""
