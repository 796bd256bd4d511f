"""What the outermost middleware adds to every request."""

import io
import json
import logging
import re
from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from app.database import Database
from app.errors import ProblemResponse
from app.observability.context import MAX_SPANS, FinishedRequest, RequestContext, shares
from app.observability.finished import finished_requests
from app.observability.instruments import server_timing
from app.observability.logs import JSONFormatter, RequestRecord


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    return app


@pytest.mark.parametrize("path", ["/health/live", "/no-such-path", "/broken"])
async def test_every_answer_has_an_id_and_a_time(client: AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert 0 < float(response.headers["x-process-time"]) < 5


async def test_every_request_has_another_id(client: AsyncClient) -> None:
    ids = {(await client.get("/health/live")).headers["x-request-id"] for _ in range(300)}

    assert len(ids) == 300


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
        finished_requests.flush()

    (record,) = [record for record in caplog.records if record.name == "app.request"]
    assert isinstance(record, RequestRecord)
    assert record.fields["path"] == "/health/live"
    assert record.fields["status"] == 200
    assert isinstance(record.fields["duration_ms"], float)
    assert "hunter2" not in str(vars(record))


async def test_a_stream_that_fails_is_logged_as_an_error(
    client: AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    async def lines() -> AsyncIterator[str]:
        yield "one\n"
        raise LookupError

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(lines())

    with caplog.at_level(logging.INFO, "app.request"), pytest.raises(LookupError):
        await client.get("/stream")
    finished_requests.flush()

    (record,) = [record for record in caplog.records if isinstance(record, RequestRecord)]
    assert record.fields["status"] == 500


def test_all_middleware_is_pure_asgi(app: FastAPI) -> None:
    assert app.user_middleware
    for middleware in app.user_middleware:
        assert isinstance(middleware.cls, type)
        assert not issubclass(middleware.cls, BaseHTTPMiddleware)


async def test_the_shares_of_the_time_add_up(client: AsyncClient) -> None:
    headers = (await client.get("/health/ready")).headers

    timing = re.fullmatch(r"app;dur=([\d.]+), db;dur=([\d.]+)", headers["server-timing"])
    assert timing
    application, database = map(float, timing.groups())
    assert application > 0
    assert database > 0
    assert application + database == pytest.approx(
        float(headers["x-process-time"]) * 1000, abs=0.002
    )


def test_statements_that_run_at_once_count_once() -> None:
    request = RequestContext("r-1", {"method": "GET", "path": "/"})
    for start, end in [
        (0.0, 0.25),  # alone
        (0.5, 1.0),
        (1.0, 1.25),  # follows it
        (0.75, 1.5),  # was there before them, and is there after them
    ]:
        request.add_span("db", start, end)
    request.add_span("other", 0.0, 9.0)

    assert request.finished().database_seconds == 1.25


def test_what_runs_one_after_the_other_adds_up() -> None:
    spans = [("other", 0.0, 0.25), ("db", 0.25, 0.5), ("other", 0.75, 1.0)]

    assert server_timing(1.5, spans) == b"app;dur=750.000, other;dur=500.000, db;dur=250.000"


def test_what_runs_at_once_is_taken_from_the_time_once() -> None:
    spans = [("db", 0.0, 0.25), ("other", 0.125, 0.5), ("db", 0.75, 1.0)]

    assert server_timing(1.5, spans) == b"app;dur=750.000, db;dur=500.000, other;dur=375.000"


def test_a_stream_without_end_takes_no_more_memory() -> None:
    request = RequestContext("r-1", {"method": "GET", "path": "/"})
    for second in range(5 * MAX_SPANS):
        request.add_span("other" if second % 5 else "db", second, second + 0.5)

    assert len(request.spans) < MAX_SPANS
    by_name, total = shares(request.spans)
    assert by_name == pytest.approx({"db": 0.5 * MAX_SPANS, "other": 2.0 * MAX_SPANS})
    assert total == pytest.approx(2.5 * MAX_SPANS)


async def test_a_request_is_logged_under_its_whole_template(
    client: AsyncClient, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    router = APIRouter(prefix="/things")

    @router.get("/{thing}")
    async def get_thing(thing: str) -> str:
        return thing

    app.include_router(router, prefix="/shop")
    mounted = FastAPI()
    mounted.include_router(router, prefix="/shop")
    app.mount("/v1", mounted)

    with caplog.at_level(logging.INFO, "app.request"):
        await client.get("/shop/things/tea")
        await client.get("/v1/shop/things/tea")
        await client.get("/shop/nothing")
        finished_requests.flush()

    records = [record for record in caplog.records if isinstance(record, RequestRecord)]
    assert [record.fields["route"] for record in records] == [
        "/shop/things/{thing}",
        "/v1/shop/things/{thing}",
        None,
    ]


async def test_what_clients_choose_is_not_in_the_template(
    client: AsyncClient, app: FastAPI
) -> None:
    tenants, inner = FastAPI(), FastAPI()
    seen: list[FinishedRequest] = []

    @inner.get("/things/{thing}")
    async def get_thing() -> None:
        """Be there."""

    tenants.mount("/in/{place}", inner)
    app.mount("/v1", tenants)
    app.mount("/t/{tenant}", tenants)
    router = APIRouter()
    router.mount("/r/{tenant}", tenants)
    app.mount("/s/{tenant}", Starlette(routes=[Mount("/files", ProblemResponse(200))]))
    app.include_router(router, prefix="/included")
    finished_requests.listeners.append(seen.extend)

    for path in ("/t/1", "/t/2", "/v1", "/included/r/1"):
        await client.get(f"{path}/in/a/things/tea")
    await client.get("/t/1/nothing")
    await client.get("/s/1/files/any")
    finished_requests.flush()

    finished_requests.listeners.remove(seen.extend)
    assert [request.route for request in seen] == [
        "/t/{tenant}/in/{place}/things/{thing}",
        "/t/{tenant}/in/{place}/things/{thing}",
        "/v1/in/{place}/things/{thing}",
        "/included/r/{tenant}/in/{place}",  # FastAPI tells of no route below it
        None,
        "/s/{tenant}/files",
    ]


async def test_a_slow_statement_is_logged_with_its_route_and_request(
    client: AsyncClient, state: dict[str, Database]
) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("app.database")
    logger.addHandler(handler)

    await client.get("/health/ready")
    state["database"].recorder.slow = 0.0
    response = await client.get("/health/ready")

    logger.removeHandler(handler)
    entry = json.loads(written.getvalue())
    assert entry["message"] == "slow statement"
    assert entry["route"] == "/health/ready"
    assert entry["request_id"] == response.headers["x-request-id"]
