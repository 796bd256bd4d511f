"""What goes wrong in the database is told without the values of the row, and what the rows refuse
is a conflict."""

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, Response
from sqlalchemy import (
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    bindparam,
    delete,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import IntegrityError, PendingRollbackError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from app.database import Database, Query, Reads, WriteSession
from app.database.writes import ConflictError
from app.observability.logs import JSONFormatter, TextFormatter
from app.observability.tracebacks import format_safely
from tests.conftest import UNFIT, VIOLATIONS
from tests.database.scratch import existing

SECRET = "hun'\nter2\" for key 'x"  # noqa: S105

metadata = MetaData()
words = Table(
    "words", metadata, Column("text", String(30)), UniqueConstraint("text", name="uq_words_text")
)
links = Table(
    "links",
    metadata,
    Column("text", String(30), ForeignKey("words.text", name="fk_links_text")),
)
bounds = Table(
    "bounds",
    metadata,
    Column("text", String(30), ForeignKey("words.text", ondelete="RESTRICT")),
    Column("size", Integer, nullable=False),
    CheckConstraint("size < 10", name="ck_bounds_size"),
)


class Mapped(DeclarativeBase):
    pass


class Word(Mapped):
    __table__ = words
    __mapper_args__ = {"primary_key": [words.c.text]}  # noqa: RUF012


WORDS = Query(select(words.c.text).where(words.c.text == bindparam("text", type_=String(30))))
SIZES = Query(select(bounds.c.size).where(bounds.c.size == bindparam("size", type_=Integer)))


@pytest.fixture(autouse=True)
async def _words(database: Database) -> AsyncIterator[None]:
    async with existing(database, words, links, bounds):
        yield


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/twice")
    async def twice(session: WriteSession) -> None:
        for _ in range(2):
            await session.execute(insert(words).values(text=SECRET))

    @app.post("/nowhere")
    async def refer(session: WriteSession) -> None:
        await session.execute(insert(links).values(text=SECRET))

    @app.post("/referred")
    async def delete_referred(session: WriteSession, by: str) -> None:
        await session.execute(insert(words).values(text=SECRET))
        referring = {"links": insert(links), "bounds": insert(bounds).values(size=1)}[by]
        await session.execute(referring.values(text=SECRET))
        await session.execute(delete(words))

    @app.post("/gone")
    async def change_what_is_gone(session: WriteSession) -> None:
        word = Word(text=SECRET)
        session.add(word)
        await session.flush()
        await session.execute(delete(words), execution_options={"synchronize_session": False})
        word.text = "another"  # type: ignore[attr-defined]

    @app.post("/words")
    async def add_word(word: dict[str, Any], session: WriteSession) -> None:
        session.add(Word(**word))

    @app.post("/words/found")
    async def find_word(word: dict[str, Any], reads: Reads) -> int:
        return len(await reads.all(WORDS, **word))

    @app.get("/sizes/{size}")
    async def find_size(size: int, reads: Reads) -> int:
        return len(await reads.all(SIZES, size=size))

    @app.post("/sizes/{size}")
    async def add_size(session: WriteSession, size: int) -> None:
        await session.execute(insert(bounds).values(size=size or None))

    return app


def lines_of(record: logging.LogRecord) -> list[str]:
    return [formatter.format(record) for formatter in (JSONFormatter(), TextFormatter())]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/twice", VIOLATIONS[0]),
        ("/nowhere", VIOLATIONS[1]),
        ("/referred?by=links", ()),
        ("/referred?by=bounds", ()),
        ("/gone", ()),
    ],
)
async def test_what_other_rows_do_not_allow_is_a_conflict_told_in_a_line(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, path: str, told: tuple[str, ...]
) -> None:
    response = await client.post(path)

    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "The change conflicts with other data."
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    for line in lines_of(record):
        assert "\n" not in line
        for fact in told:
            assert fact in line
        assert "ter2" not in line


@pytest.mark.parametrize("size", [0, 99])
async def test_what_a_schema_should_have_refused_stays_a_bug(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """A NULL where there may be none, and what a CHECK refuses."""
    assert (await client.post(f"/sizes/{size}")).status_code == 500

    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.exc_info


def assert_unfit(answer: Response, caplog: pytest.LogCaptureFixture) -> None:
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "A value is out of range, too long, or not valid text."
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.message.startswith("a value of a request does not fit: ")
    assert not record.exc_info


async def test_a_number_that_is_out_of_range_is_the_clients_error(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert_unfit(await client.post(f"/sizes/{10**20}"), caplog)

    caplog.clear()
    found = await client.get(f"/sizes/{10**20}")
    if found.status_code != 200:  # some databases compare it
        assert_unfit(found, caplog)


@pytest.mark.parametrize("path", ["/words", "/words/found"])
async def test_half_a_character_is_the_clients_error(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    half = r'{"text": "\ud800"}'
    answer = await client.post(path, content=half, headers={"Content-Type": "application/json"})

    assert_unfit(answer, caplog)


async def test_a_text_that_does_not_fit_is_the_clients_error(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    for text in UNFIT:
        caplog.clear()
        assert_unfit(await client.post("/words", json={"text": text}), caplog)
    assert (await client.post("/words", json={"text": "a" * 30})).status_code == 200


@pytest.mark.parametrize(("number", "told"), [(2, VIOLATIONS[0]), (1, VIOLATIONS[1])])
async def test_a_violation_names_its_constraint_and_no_value(
    database: Database, number: int, told: tuple[str, str]
) -> None:
    async def violate() -> None:
        async with AsyncSession(database.writes.engine) as session:
            for _ in range(number):
                table = words if number > 1 else links
                await session.execute(insert(table).values(text=SECRET))

    with pytest.raises(IntegrityError) as failed:
        await violate()

    error = (failed.type, failed.value, failed.tb)
    for line in lines_of(logging.LogRecord("shop", logging.ERROR, "", 0, "failed", None, error)):
        assert "IntegrityError" in line
        assert "INSERT INTO" in line
        for fact in told:
            assert fact in line
        assert "ter2" not in line


async def test_nor_does_a_value_that_the_column_cannot_hold(database: Database) -> None:
    class Number(TypeDecorator[int]):
        impl = Integer
        cache_ok = True

        def process_bind_param(self, value: object, dialect: Dialect) -> int:
            return int(str(value))

    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(select(literal(SECRET, Number())))

    with pytest.raises(StatementError) as failed:
        await fail()

    text = format_safely(failed.value)
    assert "ValueError" in text
    assert "ter2" not in text


async def test_nor_does_what_led_to_such_a_value(database: Database) -> None:
    class Number(TypeDecorator[int]):
        impl = Integer
        cache_ok = True

        def process_bind_param(self, value: object, dialect: Dialect) -> int:
            try:
                return int(str(value))
            except ValueError as error:
                raise LookupError(f"no number {value}") from error

    query = Query(
        select(literal(1).label("one")).where(literal(1) == bindparam("n", None, Number()))
    )
    with pytest.raises(StatementError) as failed:
        await database.reads.all(query, n=SECRET)

    text = format_safely(failed.value)
    assert "ValueError" in text
    assert "LookupError" in text
    assert "ter2" not in text


async def test_nor_does_a_session_that_goes_on_after_it(database: Database) -> None:
    async def go_on() -> None:
        async with AsyncSession(database.writes.engine) as session:
            await session.execute(insert(words).values(text=SECRET))
            session.add(Word(text=SECRET))
            with suppress(IntegrityError):
                await session.flush()
            await session.execute(select(words))

    with pytest.raises(PendingRollbackError) as failed:
        await go_on()

    # Not every database has the value in its message.
    another = PendingRollbackError(f"Back again. Original exception was: {SECRET}")
    for error in (failed.value, another):
        text = format_safely(error)
        assert "PendingRollbackError" in text
        assert "ter2" not in text


async def test_nor_does_what_came_of_it(database: Database) -> None:
    """As a cause, in a context, or as one of several."""

    async def fail() -> None:
        async with database.writes.session() as session:
            await session.execute(insert(words), [{"text": SECRET}, {"text": SECRET}])

    with pytest.raises(ConflictError) as failed:
        await fail()
    violation = failed.value.__cause__
    assert isinstance(violation, IntegrityError)
    another, group = (
        RuntimeError("another"),
        ExceptionGroup("several", [violation, ValueError("told")]),
    )
    another.__context__, group.__cause__ = group, violation

    text = format_safely(another)

    assert "RuntimeError: another" in text
    assert "ValueError: told" in text
    in_group = [line for line in text.splitlines() if line.lstrip().startswith("|")]
    code = VIOLATIONS[0][0]
    assert any(code in line for line in in_group)
    assert text.count(code) > sum(code in line for line in in_group)
    assert "ter2" not in text
