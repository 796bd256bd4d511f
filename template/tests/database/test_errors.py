"""What goes wrong in the database is told without the values of the row."""

import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import (
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
    insert,
    literal,
    select,
)
from sqlalchemy.exc import IntegrityError, PendingRollbackError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from app.database import Database, Query, WriteSession
from app.observability.logs import JSONFormatter, TextFormatter
from app.observability.tracebacks import format_safely
from tests.conftest import VIOLATIONS
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


class Mapped(DeclarativeBase):
    pass


class Word(Mapped):
    __table__ = words
    __mapper_args__ = {"primary_key": [words.c.text]}  # noqa: RUF012


@pytest.fixture(autouse=True)
async def _words(database: Database) -> AsyncIterator[None]:
    async with existing(database, words, links):
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

    return app


@pytest.mark.parametrize(("path", "told"), [("/twice", VIOLATIONS[0]), ("/nowhere", VIOLATIONS[1])])
async def test_a_violation_names_its_constraint_and_no_value(
    client: AsyncClient, caplog: pytest.LogCaptureFixture, path: str, told: tuple[str, str]
) -> None:
    response = await client.post(path)

    assert response.status_code == 500
    assert "ter2" not in response.text
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelno == logging.ERROR
    for formatter in (JSONFormatter(), TextFormatter()):
        line = formatter.format(record)
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

    with pytest.raises(IntegrityError) as failed:
        await fail()
    another, group = (
        RuntimeError("another"),
        ExceptionGroup("several", [failed.value, ValueError("told")]),
    )
    another.__context__, group.__cause__ = group, failed.value

    text = format_safely(another)

    assert "RuntimeError: another" in text
    assert "ValueError: told" in text
    in_group = [line for line in text.splitlines() if line.lstrip().startswith("|")]
    code = VIOLATIONS[0][0]
    assert any(code in line for line in in_group)
    assert text.count(code) > sum(code in line for line in in_group)
    assert "ter2" not in text
