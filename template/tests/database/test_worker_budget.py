"""Workers are no more than the connection budget has room for."""

import sys

import pytest

from app.database import UnavailableError, most_workers


async def allows_100(_: str) -> int:
    return 100


@pytest.mark.parametrize(
    ("variable", "value", "most"),
    [
        ("REPLICAS", "1", 6),  # 6 x (5 + 10) + 5 = 95
        ("REPLICAS", "2", 3),
        ("DATABASE_HEADROOM", "12", 5),
        ("DATABASE_READ_POOL", "1", 15),
        ("DATABASE_READ_POOL", "200", 1),  # too many for one: the service says so and stops
    ],
)
def test_they_fit(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, most: int) -> None:
    monkeypatch.setenv(variable, value)

    assert most_workers(allows_100) == most


def test_they_fit_the_replica_too(monkeypatch: pytest.MonkeyPatch, replica: str) -> None:
    monkeypatch.setenv("READ_DATABASE_URL", replica)

    async def limit(url: str) -> int:
        return 25 if url == replica else 100

    assert most_workers(limit) == 2


@pytest.fixture
def replica(nowhere: str) -> str:
    return f"{nowhere}_replica"


def test_a_database_that_does_not_answer_sets_no_bound() -> None:
    async def limit(_: str) -> int:
        raise UnavailableError

    assert most_workers(limit) == sys.maxsize


def test_the_server_itself_is_asked(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)

    assert 1 <= most_workers() < sys.maxsize
