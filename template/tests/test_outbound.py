"""Calls of other services, which are real servers here: slow, broken, silent."""

import asyncio
import codecs
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient, ReadTimeout
from pydantic import BaseModel, ValidationError

from app.database import BusyError, DatabaseSettings
from app.observability.context import Span, current_request
from app.outbound import ERRORS, OutboundSettings, Upstream, UpstreamError, Upstreams, for_each
from tests.upstreams import Others
from tests.waiting import HANG

CONNECTIONS = 5
MAX_BYTES = 100_000


class Thing(BaseModel):
    number: int


@pytest.fixture
def settings(
    settings: DatabaseSettings, others: Others, monkeypatch: pytest.MonkeyPatch
) -> DatabaseSettings:
    for name in ("TIMEOUT", "POOL_TIMEOUT", "CONNECT_TIMEOUT"):
        monkeypatch.setenv(f"OUTBOUND_{name}", str(2 * HANG))
    monkeypatch.setenv("OUTBOUND_CONNECTIONS", str(CONNECTIONS))
    monkeypatch.setenv("OUTBOUND_MAX_BYTES", str(MAX_BYTES))
    return settings


@pytest.fixture
def under_way() -> list[str]:
    """The names of the services that `/all` has begun to call."""
    return []


@pytest.fixture
def spans() -> list[Span]:
    """What `/all` has spent its time on."""
    return []


@pytest.fixture
def app(app: FastAPI, under_way: list[str], spans: list[Span]) -> FastAPI:
    @app.get("/all")
    async def call_all(upstreams: Upstreams) -> list[int]:
        async def call(upstream: Upstream) -> int:
            under_way.append(upstream.name)
            return (await upstream.send("GET", "/")).status_code

        statuses = await for_each(upstreams.values(), call)
        request = current_request.get()
        assert request
        spans.extend(request.spans)
        return statuses

    return app


@pytest.fixture
def upstreams(app: FastAPI, state: dict[str, Any]) -> Mapping[str, Upstream]:
    found: Mapping[str, Upstream] = app.state.outbound.upstreams
    return found


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What was counted, by the name of the service."""
    errors: Counter[str] = Counter()
    monkeypatch.setattr(ERRORS, "add", lambda name: errors.update([name]))
    return errors


@pytest.mark.parametrize("packed", [False, True])
async def test_too_large_an_answer_is_a_502(
    upstreams: Mapping[str, Upstream], others: Others, errors: Counter[str], packed: bool
) -> None:
    north = others["north"]
    for size, fails in ((MAX_BYTES, False), (MAX_BYTES + 1, True)):
        north.body = b"x" * size
        if packed:  # how much it is shows when it is unpacked
            north.body, north.headers = (
                codecs.encode(north.body, "zlib"),
                b"content-encoding: deflate\r\n",
            )
        if not fails:
            response = await upstreams["north"].send("GET", "/")
            assert response.content == b"x" * size
            continue
        with pytest.raises(UpstreamError, match="gave too large an answer") as caught:
            await upstreams["north"].send("GET", "/")
        assert caught.value.status_code == 502
    assert errors == {"north": 1}


class TestSeveralAtOnce:
    async def test_all_are_called_before_one_has_answered(
        self, client: AsyncClient, others: Others, under_way: list[str]
    ) -> None:
        for upstream in others.values():
            upstream.may_answer.clear()

        calling = asyncio.create_task(client.get("/all"))
        await others["north"].until(lambda it: len(it.requests) == 1)
        assert sorted(under_way) == sorted(others)
        for upstream in others.values():
            await upstream.until(lambda it: len(it.requests) == 1)
            upstream.may_answer.set()

        assert (await calling).json() == [200, 200, 200]

    async def test_their_time_is_counted_once(
        self, client: AsyncClient, others: Others, spans: list[Span]
    ) -> None:
        timing = (await client.get("/all")).headers["server-timing"]

        told = dict(share.split(";dur=") for share in timing.split(", "))
        _, starts, ends = zip(*(span for span in spans if span[0] == "upstream"), strict=True)
        assert max(starts) < min(ends)  # all at once: from the first start to the last end
        assert float(told["upstream"]) == pytest.approx((max(ends) - min(starts)) * 1000, abs=0.1)

    async def test_one_that_fails_cancels_the_rest(
        self, client: AsyncClient, others: Others, errors: Counter[str]
    ) -> None:
        others["north"].statuses = [500]
        for upstream in others.values():
            upstream.may_answer.clear()

        calling = asyncio.create_task(client.get("/all"))
        for upstream in others.values():
            await upstream.until(lambda it: len(it.requests) == 1)
        others["north"].may_answer.set()
        response = await calling

        assert (response.status_code, response.json()["detail"]) == (
            502,
            "The service north failed.",
        )
        for name in ("south", "west"):
            await others[name].until(lambda it: it.left == 1)
        assert errors == {"north": 1}

    async def test_one_that_hangs_is_a_504_and_cancels_the_rest(
        self,
        upstreams: Mapping[str, Upstream],
        others: Others,
        errors: Counter[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for upstream in others.values():
            upstream.may_answer.clear()
        monkeypatch.setattr(upstreams["north"], "_seconds", 0.2)

        async def call(name: str) -> object:
            if name == "north":  # when the others are being called
                for other in ("south", "west"):
                    await others[other].until(lambda it: len(it.requests) == 1)
            return await upstreams[name].send("GET", "/")

        with pytest.raises(UpstreamError, match="The service north took too long") as caught:
            async with asyncio.timeout(HANG):
                await for_each(others, call)

        assert caught.value.status_code == 504
        for name in ("south", "west"):
            await others[name].until(lambda it: it.left == 1)
        assert errors == {"north": 1}

    async def test_an_answer_that_comes_in_drops_is_a_504_too(
        self,
        upstreams: Mapping[str, Upstream],
        others: Others,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        others["north"].body = b"drop" * 10_000
        others["north"].pause = 0.01
        monkeypatch.setattr(upstreams["north"], "_seconds", 0.2)

        with pytest.raises(UpstreamError, match="took too long"):
            async with asyncio.timeout(HANG):
                await upstreams["north"].send("GET", "/")

    async def test_no_more_than_that_at_once(self) -> None:
        running, most = 0, 0

        async def call(number: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return number

        assert await for_each(range(50), call, at_once=7) == list(range(50))
        assert most == 7


class TestConnections:
    async def test_they_are_kept(self, upstreams: Mapping[str, Upstream], others: Others) -> None:
        for _ in range(20):
            await upstreams["north"].send("GET", "/")

        assert others["north"].opened == 1

    async def test_200_requests_at_once_open_no_more_than_that(
        self, client: AsyncClient, others: Others
    ) -> None:
        responses = await asyncio.gather(*(client.get("/all") for _ in range(200)))

        assert {response.status_code for response in responses} == {200}
        assert [upstream.most for upstream in others.values()] == [CONNECTIONS] * 3
        assert sum(len(upstream.requests) for upstream in others.values()) == 600

    async def test_a_caller_that_leaves_gives_its_own_back(
        self, upstreams: Mapping[str, Upstream], others: Others
    ) -> None:
        others["north"].may_answer.clear()
        calls = [
            asyncio.create_task(upstreams["north"].send("GET", "/")) for _ in range(2 * CONNECTIONS)
        ]
        await others["north"].until(lambda it: len(it.requests) == CONNECTIONS)

        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

        await others["north"].until(lambda it: it.left == CONNECTIONS)
        others["north"].may_answer.set()
        for _ in range(CONNECTIONS):
            await upstreams["north"].send("GET", "/")
        assert upstreams["north"].gate.free == CONNECTIONS
        assert others["north"].most == CONNECTIONS

    async def test_one_that_hangs_takes_none_from_the_others(
        self, upstreams: Mapping[str, Upstream], others: Others
    ) -> None:
        others["north"].may_answer.clear()
        calls = [
            asyncio.create_task(upstreams["north"].send("GET", "/")) for _ in range(4 * CONNECTIONS)
        ]
        await others["north"].until(lambda it: len(it.requests) == CONNECTIONS)

        async with asyncio.timeout(HANG):
            await upstreams["south"].send("GET", "/")

        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


class TestBusy:
    @pytest.fixture
    def settings(
        self, settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
    ) -> DatabaseSettings:
        monkeypatch.setenv("OUTBOUND_QUEUE", "0")
        return settings

    async def test_who_finds_too_many_waiting_is_told_to_come_back(
        self, upstreams: Mapping[str, Upstream], others: Others
    ) -> None:
        calls = [upstreams["north"].send("GET", "/") for _ in range(CONNECTIONS + 1)]

        *_, last = await asyncio.gather(*calls, return_exceptions=True)

        assert isinstance(last, BusyError)


class TestAgain:
    @pytest.mark.parametrize("first", [503, 0])
    async def test_a_get_is_tried_again(
        self, upstreams: Mapping[str, Upstream], others: Others, first: int
    ) -> None:
        others["north"].statuses = [first, 200]

        response = await upstreams["north"].send("GET", "/")

        assert response.status_code == 200
        assert len(others["north"].requests) == 2

    @pytest.mark.parametrize("first", [503, 0])
    async def test_a_post_is_not(
        self, upstreams: Mapping[str, Upstream], others: Others, first: int
    ) -> None:
        others["north"].statuses = [first, 200]

        with pytest.raises(UpstreamError):
            await upstreams["north"].send("POST", "/", json={})

        assert len(others["north"].requests) == 1

    @pytest.mark.parametrize(("status", "times"), [(503, 3), (0, 3), (500, 1), (429, 1)])
    async def test_not_for_ever_and_not_what_may_have_been_done(
        self, upstreams: Mapping[str, Upstream], others: Others, status: int, times: int
    ) -> None:
        others["north"].statuses = [status]

        with pytest.raises(UpstreamError) as caught:
            await upstreams["north"].send("GET", "/")

        assert caught.value.status_code == 502
        assert len(others["north"].requests) == times

    async def test_what_takes_too_long_is_not_asked_again(
        self, upstreams: Mapping[str, Upstream], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        @asynccontextmanager
        async def stream(method: str, *_: object, **__: object) -> AsyncIterator[None]:
            asked.append(method)
            raise ReadTimeout("it is slow")
            yield

        monkeypatch.setattr(upstreams["north"]._client, "stream", stream)

        with pytest.raises(UpstreamError, match="took too long"):
            await upstreams["north"].send("GET", "/")

        assert asked == ["GET"]


class TestAnswers:
    async def test_an_answer_is_a_model_or_nothing(
        self, upstreams: Mapping[str, Upstream], others: Others
    ) -> None:
        others["north"].body = b'{"number": 7}'
        others["north"].statuses = [200, 404]

        assert await upstreams["north"].get("/thing", Thing) == Thing(number=7)
        assert await upstreams["north"].get("/thing", Thing) is None

    async def test_another_one_is_a_502(
        self, upstreams: Mapping[str, Upstream], others: Others, errors: Counter[str]
    ) -> None:
        others["north"].body = b'{"number": "secret"}'

        with pytest.raises(UpstreamError, match="north gave a bad answer") as caught:
            await upstreams["north"].get("/thing", Thing)

        assert caught.value.status_code == 502
        assert errors == {"north": 1}

    async def test_a_redirect_is_not_followed(
        self, upstreams: Mapping[str, Upstream], others: Others
    ) -> None:
        others["north"].statuses = [302]
        others["north"].headers = f"location: {others['south'].url}\r\n".encode()

        with pytest.raises(UpstreamError):
            await upstreams["north"].send("GET", "/")

        assert not others["south"].requests

    async def test_a_cookie_does_not_go_with_the_next_request(
        self, upstreams: Mapping[str, Upstream], others: Others
    ) -> None:
        others["north"].headers = b"set-cookie: user=ann; path=/\r\n"

        for _ in range(2):
            await upstreams["north"].send("GET", "/")

        assert not any("ann" in request for request in others["north"].requests)

    async def test_no_word_of_what_was_asked_is_logged(
        self,
        upstreams: Mapping[str, Upstream],
        others: Others,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        others["north"].statuses = [200, 503, 500, 0]
        others["north"].body = b'{"number": "secret"}'
        caplog.set_level(logging.DEBUG)

        async def ask() -> None:
            await upstreams["north"].get(
                "/thing", Thing, params={"key": "secret"}, headers={"authorization": "secret"}
            )

        for _ in range(3):
            with pytest.raises(UpstreamError) as caught:
                await ask()
            assert "secret" not in str(caught.value)
            assert others["north"].url not in str(caught.value)

        assert len(caplog.records) >= 3
        for record in caplog.records:
            assert "secret" not in str(vars(record))


@pytest.mark.parametrize("end", ["?key=1", "#part"])
def test_an_address_that_paths_cannot_be_added_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv(
        "OUTBOUND_UPSTREAMS", json.dumps({"north": f"https://north.example/api{end}"})
    )

    with pytest.raises(ValidationError, match="'north'"):
        OutboundSettings()
