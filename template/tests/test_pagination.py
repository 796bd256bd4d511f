"""Cursors: opaque, exact, and bounded by the type of their key."""

from base64 import urlsafe_b64encode
from typing import Annotated

import pytest
from pydantic import Field

from app.errors import ProblemError
from app.pagination import Cursor, NumberedPageParams

CURSOR: Cursor[tuple[str, int]] = Cursor(tuple[str, Annotated[int, Field(ge=1, le=1000)]])


def test_a_cursor_gives_its_key_back() -> None:
    assert CURSOR.decode(CURSOR.encode(("café / ?&=#", 7))) == ("café / ?&=#", 7)


def test_a_full_page_has_a_next_cursor() -> None:
    rows = [("c", 3), ("b", 2), ("a", 1)]

    page, cursor = CURSOR.split(rows, limit=2, key=lambda row: row)

    assert page == rows[:2]
    assert cursor is not None
    assert CURSOR.decode(cursor) == ("b", 2)


def test_the_last_page_has_none() -> None:
    rows = [("b", 2), ("a", 1)]

    assert CURSOR.split(rows, limit=2, key=lambda row: row) == (rows, None)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"null", b"{}", b"[]", b'["a"]', b'["a", 0]', b'["a", 1001]', b'["a", 1, 2]'],
)
def test_another_content_is_refused(content: bytes) -> None:
    with pytest.raises(ProblemError):
        CURSOR.decode(urlsafe_b64encode(content).decode())


@pytest.mark.parametrize(
    "cursor", ["é", "a", "====", "!", " ", "%00", "!!!!WyJhIiwxXQ", "WyJhIiwxXQ~"]
)
def test_what_is_not_base64_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError):
        CURSOR.decode(cursor)


@pytest.mark.parametrize(("rows", "has_next"), [(0, False), (2, False), (3, True)])
def test_a_numbered_page_knows_whether_there_is_another(rows: int, has_next: bool) -> None:
    params = NumberedPageParams(page=3, size=2)

    page = params.of(list(range(rows)))

    assert params.offset == 4
    assert page.results == list(range(rows))[:2]
    assert (page.page, page.has_next) == (3, has_next)
