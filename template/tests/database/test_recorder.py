"""The recorder hears of every statement on both roads."""

import logging

import pytest
from sqlalchemy import Integer, bindparam, literal, select, text
from sqlalchemy.exc import DBAPIError

from app.database import Database, DatabaseSettings, Query
from tests.conftest import recorded

ECHO = Query(select(bindparam("secret", type_=Integer).label("echo")))


async def test_statements_of_both_roads_are_heard_of_once(database: Database) -> None:
    with recorded(database) as statements:
        await database.reads.one(ECHO, secret=1)
        async with database.writes.session() as session:
            await session.execute(select(literal(1).label("written")))

    assert len([statement for statement in statements if "echo" in statement]) == 1
    assert len([statement for statement in statements if "written" in statement]) == 1


async def test_a_statement_that_fails_is_heard_of_once(database: Database) -> None:
    with recorded(database) as statements, pytest.raises(DBAPIError):
        async with database.writes.session() as session:
            await session.execute(text("SELECT nothing FROM nowhere"))

    assert len([statement for statement in statements if "nowhere" in statement]) == 1


class TestSlow:
    @pytest.fixture
    def settings(self, settings: DatabaseSettings, slow: float) -> DatabaseSettings:
        return settings.model_copy(update={"slow": slow})

    @pytest.mark.parametrize(("slow", "logged"), [(0.0, 1), (60.0, 0)])
    async def test_a_slow_statement_is_logged_once_and_a_fast_one_never(
        self, database: Database, caplog: pytest.LogCaptureFixture, logged: int
    ) -> None:
        with caplog.at_level(logging.WARNING, "app.database"):
            await database.reads.one(ECHO, secret=424242)

        found = [record for record in caplog.records if record.name == "app.database.recorder"]
        assert len(found) == logged
        for record in found:
            assert "echo" in vars(record)["statement"]
            assert vars(record)["duration_ms"] > 0
            assert "424242" not in str(vars(record))  # a parameter may be a secret
