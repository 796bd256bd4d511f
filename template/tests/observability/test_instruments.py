"""What the outermost middleware adds to every request."""

import logging

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from starlette.middleware.base import BaseHTTPMiddleware

from app.observability.logs import RequestRecord


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    return app


@pytest.mark.parametrize("path", ["/health/live", "/no-such-path", "/broken"])
async def test_every_answer_has_an_id_and_a_time(client: AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert len(response.headers["x-request-id"]) == 32
    assert 0 < float(response.headers["x-process-time"]) < 5


async def test_a_client_may_bring_its_own_id(client: AsyncClient) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": "order-17.retry_2"})

    assert response.headers["x-request-id"] == "order-17.retry_2"


@pytest.mark.parametrize("forged", ["a b", 'x"}', "a" * 129, ""])
async def test_an_id_that_could_forge_a_log_line_is_replaced(
    client: AsyncClient, forged: str
) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": forged})

    assert response.headers["x-request-id"] != forged


async def test_a_request_is_logged_once_and_without_its_query(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "app.request"):
        await client.get("/health/live?token=hunter2")

    (record,) = [record for record in caplog.records if record.name == "app.request"]
    assert isinstance(record, RequestRecord)
    assert record.fields["path"] == "/health/live"
    assert record.fields["status"] == 200
    assert isinstance(record.fields["duration_ms"], float)
    assert "hunter2" not in str(vars(record))


def test_all_middleware_is_pure_asgi(app: FastAPI) -> None:
    assert app.user_middleware
    for middleware in app.user_middleware:
        assert isinstance(middleware.cls, type)
        assert not issubclass(middleware.cls, BaseHTTPMiddleware)
