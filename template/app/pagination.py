"""Pages of a list: by cursor, or where a list stays small by number.

A list by cursor is ordered by a unique key, newest first, say `(created_at, id)`. The
cursor is the key of the last row that a client has seen. So a page costs the same at any
depth, and rows inserted meanwhile move nothing.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute

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


class NumberedPage(BaseModel, Generic[Entry]):
    """One page of a list, by its number."""

    results: list[Entry]
    page: int
    has_next: bool


class NumberedPageParams(BaseModel):
    """What a client may ask of a list with numbered pages.

    The database reads and drops all rows before the page, hence the bound.
    """

    page: int = Field(default=1, ge=1, le=1000, description="Number of the page.")
    size: int = Field(default=20, ge=1, le=100, description="Rows on a page.")

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * self.size

    def of(self, rows: Sequence[Entry]) -> NumberedPage[Entry]:
        """Return the page with `size + 1` fetched rows."""
        has_next = len(rows) > self.size
        return NumberedPage(results=[*rows[: self.size]], page=self.page, has_next=has_next)


NumberedPageQuery = Annotated[NumberedPageParams, Query()]


def limit_to(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return the statement with a parameter `limit`."""
    return statement.limit(bindparam("limit", type_=Integer))


def offset_by(statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return the statement with a parameter `offset`."""
    return statement.offset(bindparam("offset", type_=Integer))


def after(*columns: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Return the condition for rows after a key, in descending order.

    The key's parameters have the names of the columns. A row-value comparison walks the
    index where the equivalent OR cannot; the comparison of the first column by itself is
    for databases that take no more than that for the part of the index to read.
    """
    key = [bindparam(column.key, type_=column.type) for column in columns]
    return and_(columns[0] <= key[0], tuple_(*columns) < tuple_(*key))


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
        self, rows: list[Row], limit: int, key: Callable[[Row], Key]
    ) -> tuple[list[Row], str | None]:
        """Split `limit + 1` fetched rows into a page and the cursor of the next one."""
        if len(rows) <= limit:
            return rows, None
        return rows[:limit], self.encode(key(rows[limit - 1]))
