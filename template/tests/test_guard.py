"""What a request may ask for, and what its answer tells a browser."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import RedirectResponse, StreamingResponse
from httpx2 import AsyncClient
from httpx2 import Response as Answer
from pydantic import ValidationError
from starlette.types import Message, Scope

from app.errors import ProblemError
from app.guard import NO_CONTENT, NO_SNIFFING, GuardSettings
from app.observability.finished import finished_requests
from app.observability.logs import RequestRecord
from tests.sockets import converse
from tests.waiting import HANG


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "test, *.example.com")
    monkeypatch.setenv("MAX_BODY_SIZE", "100")


@pytest.fixture
def app(_limits: None, app: FastAPI) -> FastAPI:
    @app.post("/echo")
    async def echo(text: str | dict[str, str]) -> int:
        return len(text)

    @app.get("/page")
    async def page() -> str:
        return "data"

    return app


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("test", 200),
        ("TEST:8000", 200),
        ("api.example.com", 200),
        ("example.com", 400),
        (".example.com", 400),
        ("evil.com/.example.com", 400),
        ("evil.com:80@.example.com", 400),
        ("evil-example.com", 400),
        ("evil.com", 400),
        ("test.evil.com", 400),
    ],
)
async def test_only_known_hosts_are_answered(client: AsyncClient, host: str, status: int) -> None:
    assert (await client.get("/page", headers={"Host": host})).status_code == status


async def test_two_hosts_are_none(client: AsyncClient) -> None:
    headers = [("Host", "test"), ("Host", "evil.com")]

    assert (await client.get("/page", headers=headers)).status_code == 400


async def test_probes_come_under_any_host(client: AsyncClient) -> None:
    response = await client.get("/health/live", headers={"Host": "10.1.2.3:8000"})

    assert response.status_code == 200


@pytest.mark.parametrize(("host", "answer"), [("test", "accept"), ("evil.com", "close")])
async def test_a_websocket_comes_under_known_hosts_only(
    app: FastAPI, host: str, answer: str
) -> None:
    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()

    sent = await converse(app, {}, "/live", host=host)

    assert sent[0]["type"] == f"websocket.{answer}"


class TestBelowARoot:
    """With a server that is told `--root-path /api`, and gives paths with it."""

    @pytest.fixture
    def app(self, app: FastAPI) -> FastAPI:
        app.root_path = "/api"
        return app

    async def test_probes_come_under_any_host(self, client: AsyncClient) -> None:
        response = await client.get("/api/health/live", headers={"Host": "10.1.2.3:8000"})

        assert response.status_code == 200

    async def test_the_documentation_may_load_its_scripts(self, client: AsyncClient) -> None:
        headers = (await client.get("/api/docs")).headers

        assert headers["content-security-policy"] == "frame-ancestors 'none'"


async def test_a_body_that_says_it_is_large_is_refused_unread(app: FastAPI) -> None:
    headers = [(b"host", b"test"), (b"content-length", b"101")]
    sent = await answer_to(app, method="POST", path="/echo", headers=headers)

    assert sent[0]["status"] == 413
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["detail"] == "A body has at most 100 bytes."


@pytest.mark.parametrize("length", [b"0" * 4301, b"9" * 20, b"-1", b"1_0", b"\xb2"])
async def test_a_content_length_that_is_no_number_is_refused(app: FastAPI, length: bytes) -> None:
    sent = await answer_to(app, headers=[(b"host", b"test"), (b"content-length", length)])

    assert sent[0]["status"] == 400


@pytest.mark.parametrize("path", ["/page\n", "/pa\x00ge", "/page\x7f", "/page\x85"])
async def test_a_path_with_control_characters_reaches_no_route(app: FastAPI, path: str) -> None:
    sent = await answer_to(app, path=path)

    assert sent[0]["status"] == 400


async def test_a_path_may_have_any_other_character(client: AsyncClient) -> None:
    assert (
        await client.get("/page/\u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f52c")
    ).status_code == 404


async def test_a_websocket_has_no_control_characters_in_its_path(app: FastAPI) -> None:
    sent = await answer_to(app, type="websocket", path="/live\n", subprotocols=[])

    assert [message["type"] for message in sent] == ["websocket.close"]


async def answer_to(app: FastAPI, **changes: Any) -> list[Message]:
    """Return what is sent for a request that no client would make."""
    scope: Scope = {
        **{"type": "http", "method": "GET", "path": "/page", "raw_path": b"/page"},
        **{"query_string": b"", "root_path": "", "state": {}, "headers": [(b"host", b"test")]},
        **changes,
    }
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_a_body_that_does_not_say_its_size_is_counted(client: AsyncClient) -> None:
    async def parts(count: int) -> AsyncIterator[bytes]:
        yield b'{"text": "'
        for _ in range(count):
            yield b"a" * 10
        yield b'"}'

    headers = {"Content-Type": "application/json"}
    fits = await client.post("/echo", content=parts(8), headers=headers)
    large = await client.post("/echo", content=parts(9), headers=headers)

    assert fits.status_code == 200
    assert large.status_code == 413
    assert large.headers["content-type"] == "application/problem+json"


def assert_is_data(answer: Answer) -> None:
    """Once each: a browser enforces two policies."""
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    policies = answer.headers.get_list("content-security-policy")
    assert policies == ["default-src 'none'; frame-ancestors 'none'"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("GET test/page", 200),
        ("HEAD test/page", 200),
        ("GET test/openapi.json", 200),
        ("GET test/health/live", 200),
        ("GET test/moved", 307),
        ("GET test/mounted/page", 200),
        ("GET test/mounted/none", 404),
        ("GET test/no-such-path", 404),
        ("DELETE test/page", 405),
        ("OPTIONS test/page", 405),
        ("POST test/echo", 422),
        ("GET evil.com/page", 400),
        ("GET test/page%0a", 400),
        ("GET test/broken", 500),
    ],
)
async def test_answers_are_data_to_a_browser(
    app: FastAPI, client: AsyncClient, asked: str, status: int
) -> None:
    @app.get("/moved")
    async def moved() -> Response:
        return RedirectResponse("/page")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    inner = FastAPI()
    inner.get("/page")(lambda: "data")
    app.mount("/mounted", inner)
    method, _, address = asked.partition(" ")
    answer = await client.request(method, f"http://{address}")

    assert answer.status_code == status
    assert_is_data(answer)


async def test_an_answer_instead_of_a_socket_is_data(app: FastAPI) -> None:
    @app.websocket("/live")
    async def live() -> None:
        raise ProblemError(403, "Not now.")

    sent = await converse(app, {}, "/live")

    assert sent[0]["type"] == "websocket.http.response.start"
    assert {NO_SNIFFING, NO_CONTENT} <= {*sent[0]["headers"]}


async def test_the_documentation_may_load_its_scripts_and_not_be_framed(
    client: AsyncClient,
) -> None:
    headers = (await client.get("/docs")).headers

    assert headers["content-security-policy"] == "frame-ancestors 'none'"


async def test_a_routes_own_policy_is_the_only_one(app: FastAPI, client: AsyncClient) -> None:
    @app.get("/own")
    async def own(response: Response) -> None:
        response.headers["Content-Security-Policy"] = "img-src 'self'"

    headers = (await client.get("/own")).headers

    assert headers.get_list("content-security-policy") == ["img-src 'self'"]


async def test_head_is_get_without_the_body(app: FastAPI, client: AsyncClient) -> None:
    @app.head("/page/by/itself")
    @app.get("/page/by/itself")
    async def by_itself(request: Request) -> str:
        return request.method

    for path in ("/health/live", "/health/ready", "/page", "/docs", "/no-such-path"):
        got, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-length"] == str(len(got.content))
    assert (await client.head("/page/by/itself")).headers["content-length"] == "6"
    assert (await client.head("/echo")).status_code == 405


async def test_a_head_ends_a_stream_and_is_logged_as_one(
    app: FastAPI, client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/endless/{name}")
    async def endless() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b"more"
                await asyncio.sleep(0)

        return StreamingResponse(parts())

    caplog.set_level(logging.INFO)
    async with asyncio.timeout(HANG):
        answer = await client.head("/endless/story")
    finished_requests.flush()

    assert (answer.status_code, answer.content) == (200, b"")
    (record,) = [record for record in caplog.records if isinstance(record, RequestRecord)]
    assert (record.fields["method"], record.fields["route"]) == ("HEAD", "/endless/{name}")


async def test_no_other_site_may_call_the_service(client: AsyncClient) -> None:
    response = await client.get("/page", headers={"Origin": "https://example.com"})

    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_a_path_with_a_slash_too_many_is_not_redirected(client: AsyncClient) -> None:
    assert (await client.get("/page/")).status_code == 404


class TestSites:
    """With some sites allowed."""

    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAX_BODY_SIZE", "100")
        monkeypatch.setenv("CORS_ORIGINS", "https://example.com,https://example.org")

    async def test_they_see_why_they_are_refused(self, client: AsyncClient) -> None:
        headers = {"Origin": "https://example.org"}
        answer = await client.post("/echo", json={"text": "a" * 100}, headers=headers)

        assert answer.status_code == 413
        assert answer.headers["access-control-allow-origin"] == "https://example.org"

    async def test_they_see_that_it_failed(self, app: FastAPI, client: AsyncClient) -> None:
        @app.get("/broken")
        async def broken() -> None:
            raise RuntimeError

        answer = await client.get("/broken", headers={"Origin": "https://example.org"})

        assert answer.status_code == 500
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()

    @pytest.mark.parametrize(
        ("origin", "allowed"), [("https://example.org", True), ("https://evil.com", False)]
    )
    async def test_the_answer_to_a_preflight_is_data_too(
        self, client: AsyncClient, origin: str, allowed: bool
    ) -> None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        asked = await client.options("/page", headers=headers)

        assert (asked.status_code == 200) is allowed
        assert_is_data(asked)

    @pytest.mark.parametrize(
        ("origin", "allowed"), [("https://example.org", True), ("https://evil.com", False)]
    )
    async def test_they_may_call_it(self, client: AsyncClient, origin: str, allowed: bool) -> None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        asked = await client.options("/page", headers=headers)
        answer = await client.get("/page", headers={"Origin": origin})

        assert (asked.status_code == 200) is allowed
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


class TestWithoutDocumentation:
    """With DOCS=false."""

    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCS", "false")

    @pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
    async def test_there_is_none(self, client: AsyncClient, path: str) -> None:
        assert (await client.get(path)).status_code == 404


def test_a_value_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been meant for another variable, a secret one."""
    monkeypatch.setenv("MAX_BODY_SIZE", "hunter2")

    with pytest.raises(ValidationError) as refused:
        GuardSettings()

    assert "hunter2" not in str(refused.value)
    assert json.loads(refused.value.json(include_input=False))[0]["loc"] == ["max_body_size"]
