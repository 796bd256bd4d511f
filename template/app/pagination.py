"""Keyset pagination: a page starts after the last row of the one before, at any depth.

A list is ordered by a unique key, newest first, say `(created_at, id)`. The cursor is
the key of the last row a client has seen, so rows inserted meanwhile move nothing.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field, TypeAdapter

from app.errors import ProblemError

Key = TypeVar("Key")
Row = TypeVar("Row")
Entry = TypeVar("Entry")


class PageParams(BaseModel):
    """What a client may ask of a list."""

    limit: int = Field(default=20, ge=1, le=100, description="Rows on a page.")
    cursor: str | None = Field(
        default=None, max_length=512, description="`next_cursor` of the page before."
    )


PageQuery = Annotated[PageParams, Query()]


class Page(BaseModel, Generic[Entry]):
    """One page of a list; `next_cursor` is null on the last one."""

    results: list[Entry]
    next_cursor: str | None


class Cursor(Generic[Key]):
    """Turns a row's key into an opaque string and back.

    Args:
        key: the key's type, a tuple; its constraints also bound what a client can send.
    """

    def __init__(self, key: Any) -> None:
        self._adapter: TypeAdapter[Key] = TypeAdapter(key)

    def encode(self, key: Key) -> str:
        """Return the cursor for a row's key."""
        return urlsafe_b64encode(self._adapter.dump_json(key)).decode().rstrip("=")

    def decode(self, cursor: str) -> Key:
        """Return the key in a cursor.

        Raises:
            ProblemError: 422, when the cursor is not one that `encode` made.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            return self._adapter.validate_json(b64decode(padded.encode(), b"-_", validate=True))
        except (ValueError, OverflowError):
            raise ProblemError(
                422, "The cursor is not valid: use `next_cursor` as it was given."
            ) from None

    def split(
        self, rows: Sequence[Row], limit: int, key: Callable[[Row], Key]
    ) -> tuple[Sequence[Row], str | None]:
        """Split `limit + 1` fetched rows into a page and the cursor of the next one."""
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], self.encode(key(rows[limit - 1]))
