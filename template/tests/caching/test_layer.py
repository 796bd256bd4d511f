"""What is kept, for whom, and what never is."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import pytest
from fastapi import (
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.security import HTTPBearer
from httpx2 import ASGITransport, AsyncClient
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.caching import Cached
from app.caching.entries import Fill
from app.caching.policies import SHORT, Route, query_pairs
from app.caching.settings import CacheSettings
from app.observability.context import RequestContext, current_request
from tests.caching.conftest import Service, token_user
from tests.waiting import HANG, until

RANDOM = random.Random(7)  # noqa: S311
MINUTE = Cached(seconds=60)


async def test_an_answer_is_made_once(service: Service) -> None:
    client = service.serve(thing=MINUTE)

    first, second = await client.get("/thing"), await client.get("/thing")

    assert first.content == second.content == b"1"
    assert service.runs["thing"] == 1
    assert first.headers["etag"] == second.headers["etag"]
    assert first.headers["cache-control"] == second.headers["cache-control"] == "private, no-cache"
    assert "age" not in first.headers
    assert second.headers["age"].isdecimal()
    assert service.outcomes == {("/thing", "miss"): 1, ("/thing", "hit"): 1}


async def test_a_policy_says_what_clients_and_proxies_may_keep(service: Service) -> None:
    client = service.serve(thing=Cached(seconds=60, public=True, max_age=30))

    headers = (await client.get("/thing")).headers

    assert headers["cache-control"] == "public, max-age=30"


async def test_an_entry_ends(service: Service) -> None:
    client = service.serve(thing=Cached(seconds=0.1))

    await client.get("/thing")
    await asyncio.sleep(0.15)

    assert (await client.get("/thing")).content == b"2"


async def test_what_is_made_at_once_does_not_end_at_once() -> None:
    route = Route("/thing", MINUTE)

    seconds = {route.entry(200, [], b"").seconds for _ in range(20)}

    assert len(seconds) > 1
    assert 54 <= min(seconds) < max(seconds) <= 60


async def test_a_client_that_has_it_is_not_sent_it_again(service: Service) -> None:
    client = service.serve(thing=MINUTE)
    etag = (await client.get("/thing")).headers["etag"]

    answer = await client.get("/thing", headers={"If-None-Match": f'"other", {etag}'})

    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == etag
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "content-length" not in answer.headers
    assert (await client.get("/thing", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_head_is_a_get_without_a_body(service: Service) -> None:
    client = service.serve(thing=MINUTE)

    head = await client.head("/thing")  # fills
    again = await client.head("/thing")
    get = await client.get("/thing")

    assert service.runs["thing"] == 1
    assert head.content == again.content == b""
    assert head.headers["content-length"] == again.headers["content-length"] == "1"
    assert head.headers["etag"] == get.headers["etag"]
    assert get.content == b"1"


async def test_other_methods_pass(service: Service) -> None:
    @service.app.post("/thing")
    async def make_thing() -> str:
        return "made"

    client = service.serve(thing=MINUTE)
    await client.get("/thing")

    assert (await client.post("/thing")).json() == "made"
    assert (await client.get("/thing")).content == b"1"


async def test_the_key_has_the_named_query_and_no_other(service: Service) -> None:
    @service.app.get("/found")
    async def found(word: str = "", page: int = 1) -> str:
        service.runs["found"] += 1
        return f"{word} {page}"

    client = service.serve(found=Cached(seconds=60, query=["word", "page"]))
    for query, answer, runs in [
        ("", " 1", 1),
        ("word=tea&page=2", "tea 2", 2),
        ("page=2&word=tea", "tea 2", 2),  # the order says nothing
        ("page=2&word=tea&utm=ad", "tea 2", 2),  # nor does what the route does not read
        ("page=2&word=te%61", "tea 2", 2),
        ("word=tea&word=milk", "milk 1", 3),
        ("word=milk&word=tea", "tea 1", 4),
        ("word=tea%26page%3D2", "tea&page=2 1", 5),
        ("word=", " 1", 6),
    ]:
        assert (await client.get(f"/found?{query}")).json() == answer, query
        assert service.runs["found"] == runs, query


def test_a_query_is_read_as_fastapi_reads_it() -> None:
    chance = random.Random(1)  # noqa: S311
    for _ in range(2000):
        query = "".join(chance.choices("ab=&%+;2 ", k=chance.randrange(12)))
        read = [(name, value) for name, value, _ in query_pairs(query)]
        assert read == QueryParams(query).multi_items(), query


async def test_a_route_sees_no_more_of_the_query_than_the_key_has(service: Service) -> None:
    class Page(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        size: int = Field(default=1, alias="pageSize")

    @service.app.get("/page")
    async def page(page: Annotated[Page, Query()]) -> int:
        return page.size

    client = service.serve(page=Cached(seconds=60, query=["pageSize"]))

    for query, answer in [("size=666", 1), ("", 1), ("pageSize=3&size=666", 3), ("pageSize=3", 3)]:
        assert (await client.get(f"/page?{query}")).json() == answer, query


async def test_what_may_be_left_out_is_in_the_key_too(service: Service) -> None:
    class Page(BaseModel):
        size: int = 1

    @service.app.get("/page")
    async def page(page: Annotated[Page | None, Query()] = None) -> int:
        return page.size if page else 0

    client = service.serve(page=Cached(seconds=60, query=["size"]))

    assert [(await client.get(f"/page?size={size}")).json() for size in (5, 6, 5)] == [5, 6, 5]


class Kind(Enum):
    """A path parameter."""

    TEA = "tea"


async def test_paths_with_choices_and_switches_are_kept(service: Service) -> None:
    @service.app.get("/kinds/{kind}")
    async def kind(kind: Kind) -> str:
        service.runs["kind"] += 1
        return kind.value

    @service.app.get("/switches/{on}")
    async def switch(on: bool) -> bool:
        service.runs["switch"] += 1
        return on

    client = service.serve(kinds__kind=MINUTE, switches__on=MINUTE)
    for _ in range(2):
        await client.get("/kinds/tea")
        await client.get("/switches/true")
        await client.get("/switches/yes")  # the same, written otherwise: it passes by

    assert service.runs == {"kind": 1, "switch": 3}


async def test_the_key_has_the_path_as_the_route_reads_it(service: Service) -> None:
    @service.app.get("/number/{value}")
    async def number(value: int) -> int:
        service.runs["number"] += 1
        return value

    client = service.serve(number__value=Cached(seconds=60, tags=["number:{value}"]))

    for text, runs in [("7", 1), ("7", 1), ("8", 2), ("07", 3), ("07", 4)]:
        assert (await client.get(f"/number/{text}")).json() == int(text)
        assert service.runs["number"] == runs, text  # what is written otherwise passes by
    assert (await client.get("/number/seven")).status_code == 422
    await service.store.invalidate(["number:7"])
    await client.get("/number/7")
    await client.get("/number/8")
    assert service.runs["number"] == 5


async def test_a_path_that_is_another_routes_is_not_kept(service: Service) -> None:
    """`/things/me` is of the user who asks, and looks like `/things/{name}`."""

    @service.app.get("/things/me")
    async def me(x_user: Annotated[str, Header()]) -> str:
        return f"the secret of {x_user}"

    @service.app.get("/things/{name}")
    async def thing(name: str) -> str:
        service.runs["thing"] += 1
        return name

    client = service.serve(things__name=MINUTE)
    for user in ("alice", "bob"):
        answer = await client.get("/things/me", headers={"X-User": user})
        assert answer.json() == f"the secret of {user}"
    for _ in range(2):
        assert (await client.get("/things/tea")).json() == "tea"
    assert service.runs["thing"] == 1


async def test_the_key_has_the_named_headers(service: Service) -> None:
    @service.app.get("/hello")
    async def hello(accept_language: Annotated[str, Header()] = "en") -> str:
        service.runs["hello"] += 1
        return accept_language

    client = service.serve(hello=Cached(seconds=60, headers=["accept-language"]))

    for language in ("de", "fr", "de"):
        answer = await client.get("/hello", headers={"Accept-Language": language})
        assert answer.json() == language
        assert answer.headers["vary"] == "accept-language"
    assert service.runs["hello"] == 2


async def test_headers_are_told_apart_however_many_are_sent(service: Service) -> None:
    @service.app.get("/both")
    async def both(
        a: Annotated[list[str] | None, Header()] = None,
        b: Annotated[list[str] | None, Header()] = None,
    ) -> list[list[str] | None]:
        return [a, b]

    client = service.serve(both=Cached(seconds=60, headers=["a", "b"]))

    for a, b in [(["x", "x"], None), (["x"], ["x"]), (None, ["x", "x"]), (["x", "x"], None)]:
        headers = [("a", each) for each in a or ()] + [("b", each) for each in b or ()]
        assert (await client.get("/both", headers=headers)).json() == [a, b]


@pytest.mark.parametrize("header", ["Authorization", "Cookie"])
async def test_who_shows_credentials_gets_no_shared_answer(service: Service, header: str) -> None:
    @service.app.get("/mine")
    async def mine(request: Request) -> str:
        service.runs["mine"] += 1
        return request.headers.get(header, "nobody")

    client = service.serve(mine=Cached(seconds=60, dependencies=[mine]))

    for value in ("alice", "bob", "alice"):
        assert (await client.get("/mine", headers={header: value})).json() == value
    assert (await client.get("/mine")).json() == "nobody"
    assert (await client.get("/mine")).json() == "nobody"
    assert (await client.get("/mine", headers={header: "alice"})).json() == "alice"
    assert service.runs["mine"] == 5
    assert service.outcomes["/mine", "bypass"] == 4


async def test_two_users_never_meet(service: Service) -> None:
    """1,000 requests at once, by two users and by nobody, under every kind of policy."""
    bearer = HTTPBearer(auto_error=False)
    app = service.app

    def who(request: Request) -> str:
        return request.headers.get("authorization", "nobody")

    Who = Annotated[str, Depends(who)]  # noqa: N806

    @app.get("/own")
    async def own(user: Who, _: Annotated[Any, Depends(bearer)], page: int = 1) -> list[Any]:
        await asyncio.sleep(RANDOM.random() / 100)
        return [user, page]

    @app.get("/shared")
    async def shared(user: Who, page: int = 1) -> list[Any]:
        await asyncio.sleep(RANDOM.random() / 100)
        return [user, page]

    @app.get("/language")
    async def language(user: Who, accept_language: Annotated[str, Header()] = "en") -> list[Any]:
        await asyncio.sleep(RANDOM.random() / 100)
        return [user, accept_language]

    client = service.serve(
        own=Cached(seconds=60, query=["page"], user=token_user, dependencies=[who]),
        shared=Cached(seconds=60, query=["page"], dependencies=[who], public=True),
        language=Cached(
            seconds=60, headers=["accept-language"], user=token_user, dependencies=[who]
        ),
    )

    async def ask(number: int) -> None:
        user = RANDOM.choice(["Bearer token-alice", "Bearer token-bob", "Bearer wrong", None])
        path = RANDOM.choice(["own", "shared", "language"])
        word = RANDOM.choice(["1", "2"])
        headers = {"Authorization": user} if user else {}
        if path == "language":
            headers["Accept-Language"] = word
        answer = await client.get(f"/{path}?page={word}", headers=headers)
        assert answer.status_code == 200
        assert [*map(str, answer.json())] == [user or "nobody", word], number

    for turn in range(10):
        await asyncio.gather(*map(ask, range(100)))
        if turn % 2:
            await service.store.invalidate(["*"])
    outcomes = {outcome for _, outcome in service.outcomes}
    assert {"hit", "miss", "wait", "bypass"} <= outcomes


async def test_a_users_answers_are_kept_for_that_user(service: Service) -> None:
    @service.app.get("/own")
    async def own(_: Annotated[Any, Depends(HTTPBearer())]) -> int:
        service.runs["own"] += 1
        return service.runs["own"]

    client = service.serve(own=Cached(seconds=60, user=token_user))
    answers = [
        await client.get("/own", headers={"Authorization": f"Bearer token-{name}"})
        for name in ("alice", "bob", "alice")
    ]

    assert [answer.json() for answer in answers] == [1, 2, 1]
    assert answers[0].headers["vary"] == "authorization, cookie"
    assert (await client.get("/own")).status_code == 401
    forged = {"Authorization": "Bearer forged"}
    assert [(await client.get("/own", headers=forged)).json() for _ in "ab"] == [3, 4]


def _secured(app: FastAPI) -> None:
    @app.get("/it")
    async def it(_: Annotated[Any, Depends(HTTPBearer())]) -> None: ...


def _with_query(app: FastAPI) -> None:
    @app.get("/it")
    async def it(page: int = 1) -> None: ...


def _with_header(app: FastAPI) -> None:
    @app.get("/it")
    async def it(x_tenant: Annotated[str, Header()]) -> None: ...


def _with_cookie(app: FastAPI) -> None:
    @app.get("/it")
    async def it(session: Annotated[str, Cookie()]) -> None: ...


def _with_request(app: FastAPI) -> None:
    @app.get("/it")
    async def it(request: Request) -> None: ...


def _with_dependency(app: FastAPI) -> None:
    async def tenant() -> str:
        return "a"

    @app.get("/it", dependencies=[Depends(tenant)])
    async def it() -> None: ...


def _with_an_alias(app: FastAPI) -> None:
    class Page(BaseModel):
        number: int = Field(default=1, validation_alias="page")

    @app.get("/it")
    async def it(page: Annotated[Page, Query()]) -> None: ...


def _with_anything(app: FastAPI) -> None:
    class Anything(BaseModel):
        model_config = ConfigDict(extra="allow")

    @app.get("/it")
    async def it(words: Annotated[Anything, Query()]) -> None: ...


def _with_an_underscore(app: FastAPI) -> None:
    @app.get("/it")
    async def it(x_tenant: Annotated[str, Header(convert_underscores=False)]) -> None: ...


def _with_a_header_of_two_names(app: FastAPI) -> None:
    class Headers(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        tenant: str = Field(default="none", alias="x-tenant")

    @app.get("/it")
    async def it(headers: Annotated[Headers, Header()]) -> None: ...


def _with_scopes(app: FastAPI) -> None:
    async def current() -> None: ...

    @app.get("/it")
    async def it(_: Annotated[None, Security(current, scopes=["admin"])]) -> None: ...


def _with_a_tenant(app: FastAPI) -> None:
    class TenantBearer(HTTPBearer):
        async def __call__(  # type: ignore[override]
            self, request: Request, x_tenant: Annotated[str, Header()]
        ) -> str:
            return x_tenant

    @app.get("/it")
    async def it(_: Annotated[str, Depends(TenantBearer())]) -> None: ...


def _with_tasks(app: FastAPI) -> None:
    @app.get("/it")
    async def it(tasks: BackgroundTasks) -> None: ...


def _elsewhere(app: FastAPI) -> None:
    @app.post("/it")
    async def it() -> None: ...


@pytest.mark.parametrize(
    ("add_route", "reason"),
    [
        (_secured, "HTTPBearer"),
        (_with_query, "the query's page"),
        (_with_header, "the header x-tenant"),
        (_with_cookie, "the cookie session"),
        (_with_request, "the whole request"),
        (_with_dependency, "the dependency tenant"),
        (_with_an_alias, "the query's page"),
        (_with_anything, "other parameters"),
        (_with_an_underscore, "the header x_tenant"),
        (_with_a_header_of_two_names, "other parameters"),
        (_with_scopes, "the scopes admin"),
        (_with_a_tenant, "the header x-tenant"),
        (_with_tasks, "tasks"),
        (_elsewhere, "no route is served there"),
    ],
)
async def test_a_route_that_depends_on_more_than_its_key_is_refused(
    service: Service, add_route: Any, reason: str
) -> None:
    add_route(service.app)
    client = service.serve(it=MINUTE)

    with pytest.raises(TypeError, match=reason):
        await client.get("/thing")


async def test_it_does_not_start_then(service: Service) -> None:
    service.serve(it=MINUTE)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(TypeError):
        await service.app({"type": "lifespan", "state": {}}, receive, send)
    assert [message["type"] for message in sent] == ["lifespan.startup.failed"]


async def test_a_tag_without_its_parameter_is_refused(service: Service) -> None:
    client = service.serve(thing=Cached(seconds=60, tags=["thing:{id}"]))

    with pytest.raises(TypeError, match="no path parameter"):
        await client.get("/thing")


async def _stream() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


@pytest.mark.parametrize(
    "answer",
    [
        Response("no", 404),
        Response("no", 500),
        Response("later", 202),
        Response("you", headers={"Set-Cookie": "session=1"}),
        Response("secret", headers={"Cache-Control": "no-store"}),
        Response("by agent", headers={"Vary": "User-Agent"}),
        Response("by all", headers={"Vary": "*"}),
        Response(b"x" * 2000),
        "a stream",
    ],
    ids=["404", "500", "202", "cookie", "no-store", "by agent", "by all", "too large", "a stream"],
)
async def test_what_must_not_be_kept_is_not(service: Service, answer: Any) -> None:
    @service.app.get("/it")
    async def it() -> Response:
        service.runs["it"] += 1
        return StreamingResponse(_stream()) if answer == "a stream" else answer

    client = service.serve(CacheSettings(max_entry_bytes=1000), it=Cached(seconds=60))
    given = []
    for _ in range(2):
        given.append(await client.get("/it"))
        client.cookies.clear()  # a request with any would pass by

    assert service.runs["it"] == 2
    expected = b"ab" if answer == "a stream" else answer.body
    assert [one.content for one in given] == [expected, expected]
    assert (await client.head("/it")).content == b""


async def test_a_stream_keeps_nobody_waiting(service: Service) -> None:
    third, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"a"
        await ended.wait()

    @service.app.get("/endless")
    async def stream() -> StreamingResponse:
        service.runs["endless"] += 1
        if service.runs["endless"] == 3:
            third.set()
        return StreamingResponse(endless())

    client = service.serve(CacheSettings(fill_seconds=60), endless=MINUTE)
    asking = [asyncio.create_task(client.get("/endless")) for _ in range(3)]
    async with asyncio.timeout(HANG):
        await third.wait()
    ended.set()
    await asyncio.gather(*asking)


@pytest.mark.parametrize("late", ["work after it", "a dependency"])
async def test_an_answer_is_sent_when_it_is_whole(service: Service, late: str) -> None:
    whole, ended = asyncio.Event(), asyncio.Event()

    async def resource() -> AsyncIterator[None]:
        yield
        await ended.wait()

    @service.app.get("/after")
    async def after() -> JSONResponse:
        return JSONResponse(1, background=BackgroundTask(ended.wait))

    @service.app.get("/around", dependencies=[Depends(resource)])
    async def around() -> int:
        return 1

    policy = Cached(seconds=60, dependencies=[resource])
    client = service.serve(after=policy, around=policy)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 2:
            whole.set()

    path = "/after" if late == "work after it" else "/around"
    scope: Scope = {
        **{"type": "http", "method": "GET", "path": path, "raw_path": path.encode()},
        **{"query_string": b"", "root_path": "", "headers": [], "state": {}},
    }
    asking = asyncio.create_task(service.app(scope, receive, send))
    async with asyncio.timeout(HANG):
        await whole.wait()

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (await client.get(path)).headers["age"] == "0"  # and kept
    ended.set()
    await asking


async def test_what_a_layer_adds_to_an_answer_is_not_kept(service: Service) -> None:
    class Cookies:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def with_cookie(message: Message) -> None:
                if message["type"] == "http.response.start" and (b"x-who", b"alice") in headers:
                    message["headers"].append((b"set-cookie", b"session=alice"))
                await send(message)

            headers = scope.get("headers", [])
            await self.app(scope, receive, with_cookie)

    client = service.serve(thing=MINUTE)
    service.app.add_middleware(Cookies)

    assert "set-cookie" in (await client.get("/thing", headers={"X-Who": "alice"})).headers
    client.cookies.clear()
    assert "set-cookie" not in (await client.get("/thing")).headers


async def test_what_is_said_of_one_answer_or_its_connection_is_not_kept(service: Service) -> None:
    said = {
        "age": "5",
        "connection": "close",
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "keep-alive": "timeout=5",
        "transfer-encoding": "chunked",
    }

    @service.app.get("/said")
    async def answer() -> Response:
        return Response("data", headers=said)

    client = service.serve(said=MINUTE)
    await client.get("/said")
    again = await client.get("/said")

    assert service.outcomes["/said", "hit"] == 1
    assert {*said} & {*again.headers} == {"age"}
    assert again.headers["age"] == "0"


async def test_layers_further_out_know_what_routing_found(service: Service) -> None:
    client = service.serve(thing=MINUTE)
    scopes: list[Scope] = []

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await service.app(scope, receive, send)
        scopes.append(scope)

    async with client, AsyncClient(transport=ASGITransport(outer), base_url="http://test") as asker:
        await asker.get("/thing")
        await asker.get("/thing")

    made, hit = scopes
    assert made["endpoint"].__name__ == "thing"
    assert made["route"].path == hit["route"].path == "/thing"


async def test_a_part_is_not_taken_for_the_whole(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "file"
    whole = b"0123456789" * 10_000  # which is sent in pieces
    file.write_bytes(whole)

    @service.app.get("/file")
    async def read() -> FileResponse:
        return FileResponse(file, media_type="text/plain")

    client = service.serve(file=MINUTE)

    for headers in ({"Range": "bytes=0-3"}, {"If-Modified-Since": "Fri, 01 Jan 2038 00:00:00 GMT"}):
        assert (await client.get("/file", headers=headers)).status_code == 200
        assert (await client.get("/file")).content == whole
        await service.store.invalidate(["*"])


async def test_clients_count_from_now(service: Service) -> None:
    """What is served is good now, however old it is."""
    client = service.serve(thing=Cached(seconds=60, max_age=10))

    await client.get("/thing")

    assert "age" not in (await client.get("/thing")).headers


async def test_heads_at_once_of_what_is_not_kept_are_heads(service: Service) -> None:
    @service.app.get("/missing")
    async def missing() -> None:
        await asyncio.sleep(0.02)
        raise HTTPException(404)

    client = service.serve(missing=MINUTE)
    answers = await asyncio.gather(*(client.head("/missing") for _ in range(3)))

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert [answer.content for answer in answers] == [b"", b"", b""]


async def test_a_user_function_may_refuse(service: Service) -> None:
    async def refuse(_: HTTPConnection) -> str | None:
        raise HTTPException(401)

    client = service.serve(thing=Cached(seconds=60, user=refuse))

    assert [(await client.get("/thing")).content for _ in "ab"] == [b"1", b"2"]


@pytest.mark.parametrize("seconds", [0, -1, 0.001, float("inf"), float("nan")])
def test_a_policy_that_makes_no_sense_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        Cached(seconds=seconds)
    with pytest.raises(ValueError, match="lower case"):
        Cached(seconds=1, headers=["Accept-Language"])
    with pytest.raises(ValueError, match="not public"):
        Cached(seconds=1, user=token_user, public=True)


async def test_declared_statuses_are_kept(service: Service) -> None:
    @service.app.get("/gone")
    async def gone() -> None:
        service.runs["gone"] += 1
        raise HTTPException(410)

    client = service.serve(gone=Cached(seconds=60, statuses=[200, 410]))

    assert [(await client.get("/gone")).status_code for _ in range(2)] == [410, 410]
    assert service.runs["gone"] == 1


class Slow:
    """A run that has begun, and waits until it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()


async def slow(service: Service, run: int = 1) -> Slow:
    """Give the service an endpoint, `/slow`, that numbers its answers, and one of whose runs waits."""
    it = Slow()

    @service.app.get("/slow")
    async def slow() -> int:
        service.runs["slow"] += 1
        number = service.runs["slow"]
        if number == run:
            it.begun.set()
            await it.may_end.wait()
        return number

    return it


async def test_50_misses_at_once_are_one(service: Service) -> None:
    it = await slow(service)
    client = service.serve(slow=MINUTE)

    asking = [asyncio.create_task(client.get("/slow")) for _ in range(50)]
    await until(lambda: service.runs["slow"] + service.waits == 50)
    it.may_end.set()
    answers = await asyncio.gather(*asking)

    assert {answer.content for answer in answers} == {b"1"}
    assert service.runs["slow"] == 1
    assert service.outcomes == {("/slow", "miss"): 1, ("/slow", "wait"): 49}


async def test_when_the_first_client_leaves_another_goes_on(service: Service) -> None:
    it = await slow(service)
    client = service.serve(slow=MINUTE)

    first = asyncio.create_task(client.get("/slow"))
    await it.begun.wait()
    others = [asyncio.create_task(client.get("/slow")) for _ in range(10)]
    await until(lambda: service.waits == 10)
    first.cancel()
    answers = await asyncio.gather(*others)

    assert {answer.content for answer in answers} == {b"2"}
    assert service.runs["slow"] == 2


async def test_when_the_first_fails_the_others_ask_by_themselves(service: Service) -> None:
    @service.app.get("/failing")
    async def failing() -> int:
        service.runs["failing"] += 1
        number = service.runs["failing"]
        await asyncio.sleep(0.02)
        if number == 1:
            raise HTTPException(503)
        return number

    client = service.serve(failing=MINUTE)
    answers = await asyncio.gather(*(client.get("/failing") for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 503]


async def test_nobody_waits_for_ever(service: Service) -> None:
    it = await slow(service)
    client = service.serve(CacheSettings(fill_seconds=0.1), slow=MINUTE)

    asking = [asyncio.create_task(client.get("/slow")) for _ in range(2)]
    await until(lambda: service.runs["slow"] == 2)
    it.may_end.set()
    answers = await asyncio.gather(*asking)

    assert [answer.content for answer in answers] == [b"1", b"2"]


async def test_a_write_beats_a_fill_that_began_before_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = await slow(service)
    begin = service.store.begin
    fills: list[bytes] = []

    async def note(key: bytes, tags: Sequence[str]) -> Fill:
        fills.append(key)
        return await begin(key, tags)

    monkeypatch.setattr(service.store, "begin", note)
    client = service.serve(slow=Cached(seconds=60, tags=["slow"]))

    early = asyncio.create_task(client.get("/slow"))
    await it.begun.wait()
    await service.store.invalidate(["slow"])
    late = asyncio.create_task(client.get("/slow"))
    await until(lambda: len(fills) > 1 or service.waits)
    it.may_end.set()

    assert (await early).content == b"1"
    assert (await late).content == b"2"  # it is not what the early one made
    assert (await client.get("/slow")).content == b"2"


async def test_a_write_makes_its_tags_stale_and_no_others(service: Service) -> None:
    client = service.serve(thing=Cached(seconds=60, tags=["thing"]))

    await client.get("/thing")
    await service.store.invalidate(["other"])
    assert (await client.get("/thing")).content == b"1"
    await service.store.invalidate(["thing"])

    assert (await client.get("/thing")).content == b"2"
    assert service.outcomes["/thing", "stale"] == 1


def test_a_clients_long_words_are_not_remembered() -> None:
    route = Route("/found", Cached(seconds=60, query=["word"]))

    for word in ("tea", "t" * SHORT):
        query = f"word={word}".encode()
        for _ in range(2):
            assert route.match({"path": "/found", "query_string": query})
    assert route._known.cache_info().currsize == 1


async def test_a_parameter_that_is_no_utf_8_does_no_harm(service: Service) -> None:
    @service.app.get("/found")
    async def found(word: str = "") -> int:
        return len(word)

    client = service.serve(found=Cached(seconds=60, query=["word"]))

    for _ in range(2):
        assert (await client.get("/found?word=%ff%00%ed%a0%80")).status_code == 200


async def test_answers_vary_by_encoding_where_they_are_encoded(service: Service) -> None:
    asked: list[str] = []

    @service.app.get("/text")
    async def text() -> Response:
        service.runs["text"] += 1
        return Response("text", headers={"Vary": "Accept-Encoding"})

    @service.app.get("/other")
    async def other() -> Response:
        service.runs["other"] += 1
        return Response("text", headers={"Content-Encoding": "unknown"})

    class Encoder:
        """Would encode the answers."""

        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

        @staticmethod
        def encodes(header: str) -> bool:
            asked.append(header)
            return "zip" in header

    service.app.add_middleware(Encoder)
    client = service.serve(text=MINUTE, other=MINUTE)
    for encoding, runs in [("zip", 1), ("identity", 2), ("br, zip", 2), ("", 2)]:
        answer = await client.get("/text", headers={"Accept-Encoding": encoding})
        assert answer.headers["vary"] == "accept-encoding"
        assert service.runs["text"] == runs
    asked.clear()
    for encoding, times in [("zip, a", 1), ("zip, " + "a" * 1000, 2)]:  # only short ones are kept
        for _ in range(2):
            await client.get("/text", headers={"Accept-Encoding": encoding})
        assert len(asked) == times, encoding
        asked.clear()
    for _ in range(2):  # in a coding that not everybody with this key can read
        await client.get("/other")
    assert service.runs["other"] == 2


async def test_the_time_it_takes_is_told(service: Service) -> None:
    it = await slow(service)
    client = service.serve(slow=MINUTE)
    requests = [RequestContext(f"r-{number}", {}) for number in range(2)]

    async def ask(context: RequestContext) -> None:
        current_request.set(context)
        await client.get("/slow")

    asking = [asyncio.create_task(ask(context)) for context in requests]
    await it.begun.wait()
    await until(lambda: service.waits == 1)
    moment = perf_counter()
    it.may_end.set()
    await asyncio.gather(*asking)

    spent = [[start < moment < end for _, start, end in context.spans] for context in requests]
    assert sorted(map(any, spent)) == [False, True]  # one waits for the other


async def test_a_prefix_that_the_server_knows_is_no_part_of_the_path(service: Service) -> None:
    service.serve(thing=MINUTE)
    transport = ASGITransport(service.app, root_path="/api")
    async with AsyncClient(transport=transport, base_url="http://test/api") as client:
        answers = [(await client.get("/thing")).content for _ in range(2)]

    assert answers == [b"1", b"1"]
