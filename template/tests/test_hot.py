"""Hot routes answer as FastAPI would, byte for byte."""

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Path, Request
from httpx2 import ASGITransport, AsyncClient
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Integer, bindparam, select
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from app.database import Query, Reads
from app.errors import ProblemError
from app.hot import HotRoutes

ECHO = Query(select(bindparam("number", type_=Integer).label("number")))


class Echo(BaseModel):
    model_config = ConfigDict(validate_by_name=True)

    number: int = Field(alias="theNumber")
    word: str | None = None


async def get_echo(number: Annotated[int, Path(ge=1, le=1000)], word: str, reads: Reads) -> Echo:
    """Say it again."""
    if number == 404:
        raise ProblemError(404, "There is no such number.", headers={"X-Why": "gone"})
    if number == 500:
        raise RuntimeError("the secret is 42")
    row = await reads.one(ECHO, number=number)
    return Echo.model_validate({**(row or {}), "word": word})


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    app.get("/hot/{number}/{word}")(get_echo)
    app.get("/cold/{number}/{word}")(get_echo)
    app.user_middleware.append(Middleware(HotRoutes, routes={"/hot/{number}/{word}": get_echo}))

    @app.middleware("http")
    async def tell(request: Request, call_next):  # type: ignore[no-untyped-def]
        response = await call_next(request)
        route = request.scope.get("route")
        response.headers["x-hot"] = type(route).__name__
        return response

    return app


@pytest.mark.parametrize(
    ("path", "status", "hot"),
    [
        ("7/tea", 200, True),
        ("1000/%C3%A9", 200, True),
        ("404/tea", 404, True),
        ("503", 404, False),
        ("0/tea", 422, False),
        ("1001/tea", 422, False),
        ("x/tea", 422, False),
        ("7/", 404, False),
    ],
)
async def test_the_answer_is_the_same(
    client: AsyncClient, path: str, status: int, hot: bool
) -> None:
    ours = await client.get(f"/hot/{path}")
    theirs = await client.get(f"/cold/{path}")

    assert ours.status_code == theirs.status_code == status
    assert (ours.headers["x-hot"] == "HotRoute") is hot
    assert theirs.headers["x-hot"] != "HotRoute"
    assert ours.content == theirs.content
    ignored = {"x-request-id", "x-process-time", "server-timing", "x-hot"}
    assert [pair for pair in ours.headers.items() if pair[0] not in ignored] == [
        pair for pair in theirs.headers.items() if pair[0] not in ignored
    ]


async def test_a_prefix_that_the_server_knows_is_no_part_of_the_path(
    app: FastAPI, state: dict[str, Any]
) -> None:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state), "root_path": "/api"}, receive, send)

    async with AsyncClient(transport=ASGITransport(serve), base_url="http://test/api") as client:
        assert (await client.get("/hot/7/tea")).headers["x-hot"] == "HotRoute"


async def test_an_unexpected_error_is_a_problem_too(client: AsyncClient) -> None:
    response = await client.get("/hot/500/tea")

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "42" not in response.text


async def test_other_methods_are_fastapis(client: AsyncClient) -> None:
    assert (await client.post("/hot/7/tea")).status_code == 405


async def test_the_openapi_document_has_it(client: AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    hot, cold = paths["/hot/{number}/{word}"]["get"], paths["/cold/{number}/{word}"]["get"]
    assert hot["parameters"] == cold["parameters"]
    assert hot["responses"] == cold["responses"]
    assert hot["description"] == "Say it again."


async def takes_a_query(number: int, reads: Reads, verbose: bool = False) -> Echo:
    raise NotImplementedError


async def takes_the_request(number: int, request: Request) -> Echo:
    raise NotImplementedError


async def returns_no_model(number: int) -> dict[str, int]:
    raise NotImplementedError


async def says_nothing(number: int):  # type: ignore[no-untyped-def]
    raise NotImplementedError


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        (takes_a_query, "verbose"),
        (takes_the_request, "request"),
        (returns_no_model, "return a model"),
        (says_nothing, "return a model"),
    ],
)
def test_what_a_hot_route_cannot_do_is_refused(app: FastAPI, endpoint: object, why: str) -> None:
    routes: Any = {"/hot/{number}": endpoint}
    with pytest.raises(TypeError, match=why):
        HotRoutes(app, routes)


async def who_is_asking() -> None:
    raise ProblemError(401, "Nobody knows you.")


@pytest.mark.parametrize("place", ["route", "router", "include", "status", "nowhere"])
async def test_a_route_that_needs_more_is_refused_at_the_start(place: str) -> None:
    guard = [Depends(who_is_asking)]
    router = APIRouter(dependencies=guard if place == "router" else [])
    if place != "nowhere":
        router.get(
            "/hot/{number}/{word}",
            dependencies=guard if place == "route" else [],
            status_code=202 if place == "status" else None,
        )(get_echo)
    app = FastAPI()
    app.include_router(router, dependencies=guard if place == "include" else [])

    with pytest.raises(TypeError, match="cannot be hot"):
        HotRoutes(app, routes={"/hot/{number}/{word}": get_echo}).check(app)


def test_the_service_as_it_is_starts(app: FastAPI) -> None:
    for layer in app.user_middleware:
        if isinstance(routes := layer.kwargs.get("routes"), dict):
            HotRoutes(app, routes).check(app)
