"""What `/metrics` says of one worker."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, ValidationError

from app.database import Reads
from app.errors import ProblemError
from app.metrics import prometheus
from app.metrics.prometheus import BUCKETS, BatchHistogram
from app.metrics.settings import MetricsSettings
from app.observability.context import FinishedRequest
from app.observability.counts import Count
from app.observability.finished import finished_requests
from tests.waiting import until

Sampled = Callable[[], Awaitable[None]]

CUPS = Count("cups", "Cups of tea.", ["kind"])


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    inner = APIRouter(prefix="/things")

    @inner.get("/{thing}")
    async def get_thing(thing: str) -> str:
        if thing == "none":
            raise ProblemError(404, "There is no such thing.")
        return thing

    outer = APIRouter(prefix="/inner")
    outer.include_router(inner)
    app.include_router(outer, prefix="/outer")
    app.include_router(outer, prefix="/other")
    return app


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> Sampled:
    """What waits until the service has looked once more at what it shows."""
    times = 0
    take_counts = prometheus.take_counts

    def count() -> None:
        nonlocal times
        times += 1
        take_counts()

    monkeypatch.setattr(prometheus, "take_counts", count)

    async def wait() -> None:
        before = times
        await until(lambda: times > before)

    return wait


async def values(client: AsyncClient, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a metric by the values of their labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name
    }


async def added(client: AsyncClient, *calls: tuple[str, str]) -> dict[tuple[str, ...], float]:
    """Return what some requests add to the counts of requests."""
    name = "http_request_duration_seconds_count"
    before = await values(client, name)
    for method, path in calls:
        await client.request(method, path)
    after = await values(client, name)
    return {
        labels: count - before.get(labels, 0)
        for labels, count in after.items()
        if count != before.get(labels, 0) and "/metrics" not in labels
    }


async def test_a_request_is_counted_under_its_whole_template(client: AsyncClient) -> None:
    calls = [("GET", f"/{prefix}/inner/things/{n}") for prefix in ("outer", "other") for n in "ab"]
    calls.append(("GET", "/outer/inner/things/none"))

    assert await added(client, *calls) == {
        ("GET", "/outer/inner/things/{thing}", "200"): 2,
        ("GET", "/other/inner/things/{thing}", "200"): 2,
        ("GET", "/outer/inner/things/{thing}", "404"): 1,
    }


def test_many_values_are_counted_like_one_after_the_other() -> None:
    times = [0.0, 0.001, 0.0011, 0.5, 29.0, 30.0, 31.0, 31.0]
    together, alone = (
        BatchHistogram(name, "", buckets=BUCKETS, registry=CollectorRegistry())
        for name in ("together", "alone")
    )

    together.observe_all(times)
    for seconds in times:
        alone.observe(seconds)

    counted, expected = (
        {
            (sample.name.removeprefix(family.name), *sample.labels.values()): sample.value
            for family in histogram.collect()
            for sample in family.samples
        }
        for histogram in (together, alone)
    )
    assert counted["_bucket", "0.001"] == 2
    assert counted == pytest.approx(expected)


async def test_what_a_client_makes_up_is_one_series(client: AsyncClient) -> None:
    calls = [("GET", f"/made-up/{n}") for n in range(3)]
    calls += [("BREW", "/made-up"), ("STEAL", "/made-up")]

    assert await added(client, *calls) == {
        ("GET", "unknown", "404"): 3,
        ("OTHER", "unknown", "404"): 2,
    }


async def test_one_worker_tells_of_its_process(client: AsyncClient) -> None:
    for name in ("process_resident_memory_bytes", "python_gc_collections_total", "python_info"):
        assert await values(client, name)


async def test_statements_are_counted_and_timed(client: AsyncClient, sampled: Sampled) -> None:
    before = await values(client, "database_statements_total")
    seconds = await values(client, "database_statement_seconds_total")

    await client.get("/health/ready")
    await sampled()

    assert (await values(client, "database_statements_total"))[()] == before[()] + 1
    assert (await values(client, "database_statement_seconds_total"))[()] > seconds[()]


async def test_the_gates_are_shown(client: AsyncClient, app: FastAPI, sampled: Sampled) -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    @app.get("/holds")
    async def hold(reads: Reads) -> None:
        await reads.gate.enter()
        inside.set()
        await leave.wait()
        reads.gate.leave()

    holding = asyncio.create_task(client.get("/holds"))
    await inside.wait()
    await sampled()

    assert (await values(client, "database_connections_in_use"))["read",] == 1
    limit = await values(client, "database_connections_limit")
    assert limit["read",] >= 1
    assert limit["write",] >= 1
    assert (await values(client, "database_requests_waiting"))["read",] == 0
    leave.set()
    await holding
    await sampled()
    assert (await values(client, "database_connections_in_use"))["read",] == 0


async def test_a_blocked_loop_shows(
    client: AsyncClient, sampled: Sampled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lag() -> float:
        return (await values(client, "event_loop_lag_seconds"))[()]

    await sampled()
    monkeypatch.setattr(prometheus, "perf_counter", lambda: perf_counter() + 2)  # while it waits
    await sampled()

    assert await lag() > 1


async def test_its_buckets_are_fit_for_milliseconds(client: AsyncClient) -> None:
    await client.get("/health/live")

    series = await values(client, "http_request_duration_seconds_bucket")
    bounds = {value for labels in series for value in labels}
    assert {"0.001", "0.005", "0.1", "30.0", "+Inf"} <= bounds


async def test_it_is_no_part_of_the_api(client: AsyncClient) -> None:
    assert "/metrics" not in (await client.get("/openapi.json")).json()["paths"]


class TestHosts:
    @pytest.fixture
    def settings(self, settings: object, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.setenv("ALLOWED_HOSTS", "test")
        return settings

    @pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/metrics/", 400)])
    async def test_it_is_asked_for_by_address(
        self, client: AsyncClient, path: str, status: int
    ) -> None:
        response = await client.get(path, headers={"Host": "10.1.2.3:8000"})

        assert response.status_code == status


class TestToken:
    @pytest.fixture
    def settings(self, settings: object, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.setenv("METRICS_TOKEN", "hunter2")
        return settings

    @pytest.mark.parametrize(
        ("given", "status"),
        [
            (None, 401),
            ("Bearer hunter3", 401),
            ("Basic hunter2", 401),
            ("hunter2", 401),
            ("Bearer hunter2", 200),
            ("bearer  hunter2", 200),
        ],
    )
    async def test_it_is_asked_for(
        self, client: AsyncClient, given: str | None, status: int
    ) -> None:
        headers = {"Authorization": given} if given else {}

        answer = await client.get("/metrics", headers=headers)

        assert answer.status_code == status
        assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


@pytest.mark.parametrize("token", ["two words", "gr\u00fcn"])
def test_a_token_that_cannot_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", token)

    with pytest.raises(ValidationError, match="visible ASCII"):
        MetricsSettings()


def test_a_tokens_last_line_end_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "hunter2\n")

    assert MetricsSettings().token == SecretStr("hunter2")


async def test_the_last_requests_are_counted(app: FastAPI, tables: None) -> None:
    request = FinishedRequest("r-1", "GET", "/last", None, 299, 0.1, [])  # a status of no other

    async with app.router.lifespan_context(app):
        finished_requests.add(request)

    labels = {"method": "GET", "route": "unknown", "status": "299"}
    assert REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) == 1


@pytest.fixture
def _no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is counted to scrapes."""
    monkeypatch.setattr(prometheus, "SAMPLES", 3600)


@pytest.mark.usefixtures("_no_samples")
async def test_a_scrape_has_what_was_counted_before_it(client: AsyncClient) -> None:
    CUPS.add("white")

    assert (await values(client, "cups_total"))["white",] == 1


async def test_what_parts_of_the_service_count_is_told(
    client: AsyncClient, sampled: Sampled
) -> None:
    CUPS.add("green")
    assert (await values(client, "cups_total"))["green",] == 1
    CUPS.add("green", number=2)
    await sampled()  # another's scrape may be answered by another worker
    assert CUPS.take_new() == {}
    assert (await values(client, "cups_total"))["green",] == 3


async def test_what_is_counted_last_is_told(app: FastAPI, tables: None) -> None:
    async with app.router.lifespan_context(app):
        CUPS.add("black")

    assert REGISTRY.get_sample_value("cups_total", {"kind": "black"}) == 1
