"""The profile of one request, in development only."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, settings: object) -> object:
    monkeypatch.setenv("ENVIRONMENT", "development")
    return settings


async def busy_with_the_answer() -> int:
    return sum(number % 7 for number in range(500_000))


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.get("/busy")(busy_with_the_answer)
    return app


async def test_it_shows_where_the_time_goes(client: AsyncClient) -> None:
    response = await client.get("/busy?profile")

    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert "busy_with_the_answer" in response.text


async def test_other_requests_are_answered(client: AsyncClient) -> None:
    assert (await client.get("/busy?page=profile")).json() == sum(n % 7 for n in range(500_000))


class TestProduction:
    @pytest.fixture
    def settings(self, settings: object, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.delenv("ENVIRONMENT")
        return settings

    async def test_there_is_none(self, client: AsyncClient) -> None:
        response = await client.get("/busy?profile")

        assert response.headers["content-type"] == "application/json"
