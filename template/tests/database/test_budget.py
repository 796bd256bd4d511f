"""The connection budget is checked before the first request."""

import logging

import pytest

from app.database import DatabaseSettings, UnavailableError, open_database
from app.database.budget import BudgetError, check_budget


async def allows_100(_: str) -> int:
    return 100


@pytest.mark.parametrize(
    ("replicas", "workers", "needed"), [(1, 1, 20), (1, 6, 95), (2, 3, 95), (1, 7, 110)]
)
async def test_the_budget_is_what_all_workers_of_all_replicas_may_open(
    settings: DatabaseSettings,
    caplog: pytest.LogCaptureFixture,
    replicas: int,
    workers: int,
    needed: int,
) -> None:
    caplog.set_level(logging.INFO)
    sizes = {"write_pool": 5, "read_pool": 10, "headroom": 5}
    settings = settings.model_copy(update={"replicas": replicas, "workers": workers, **sizes})

    if needed > 100:
        with pytest.raises(BudgetError, match=rf"WEB_CONCURRENCY {workers} .* = {needed}\."):
            await check_budget(settings, allows_100)
    else:
        await check_budget(settings, allows_100)
        assert f"= {needed} of 100" in caplog.text


async def test_a_replica_is_asked_for_reads_only(settings: DatabaseSettings) -> None:
    asked: list[str] = []

    async def limit(url: str) -> int:
        asked.append(url)
        return 15 if url == "replica" else 20

    await check_budget(settings.model_copy(update={"url": "primary", "read_url": "replica"}), limit)

    assert asked == ["primary", "replica"]


async def test_a_service_starts_before_its_database(
    settings: DatabaseSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async def limit(_: str) -> int:
        raise UnavailableError

    await check_budget(settings, limit)

    assert "not checked" in caplog.text


async def test_more_than_the_server_allows_is_refused(settings: DatabaseSettings) -> None:
    settings = settings.model_copy(update={"workers": 100_000})

    with pytest.raises(BudgetError, match="max_connections"):
        async with open_database(settings):
            pass


def test_the_number_of_workers_is_the_one_that_servers_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    monkeypatch.setenv("REPLICAS", "3")

    settings = DatabaseSettings()

    assert (settings.workers, settings.replicas) == (4, 3)
