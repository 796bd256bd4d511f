"""Hot routes: the few reads that a profile shows hot, answered past FastAPI's machinery.

For each request FastAPI walks its middleware, matches routes twice, opens three exit
stacks, solves dependencies and validates the answer: more work than the query and its
JSON. A hot route calls the very same endpoint, with its path parameters checked, and
turns what it returns into the same JSON:

    app.add_middleware(HotRoutes, routes={"/things/{thing_id}": get_thing})

The endpoint stays an ordinary one. FastAPI describes it in the OpenAPI document and
answers whatever is not plainly a hit: a parameter that is not valid, another method.
Without the line above it serves all of it, only slower.

What it gives up: the endpoint takes path parameters and `Reads` only, no query, header,
body or other dependency (so none that checks who is asking), and it returns a model, with
status 200. Anything else, on the route or on a router around it, is refused when the
service starts. Middleware that stands further in does not see the request.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any, get_type_hints

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from app.database import Reads
from app.database.roads import get_reads
from app.errors import problem_for
from app.startup import refuse_to_start

Endpoint = Callable[..., Awaitable[BaseModel]]


class HotRoutes:
    """Answers GET requests to some paths with what their endpoints return.

    Args:
        routes: endpoints by path, with all prefixes, as FastAPI serves them.

    Raises:
        TypeError: when an endpoint takes or returns more than a hot one can.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, Endpoint]) -> None:
        self.app = app
        self.routes = [HotRoute(path, endpoint) for path, endpoint in routes.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                self.check(scope["app"])
            except TypeError as error:
                await refuse_to_start(error, scope, receive, send)
        arguments = None
        if scope["type"] == "http" and scope["method"] == "GET":
            for route in self.routes:
                arguments = route.match(scope)
                if arguments is not None:
                    break
        if arguments is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        try:
            body = route.to_json(await route.endpoint(**arguments))
        except HTTPException as error:
            await problem_for(error)(scope, receive, send)
            return
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def check(self, app: FastAPI) -> None:
        """Refuse a hot route whose FastAPI route asks or gives more.

        Raises:
            TypeError: when it does, so that no check of who is asking is ever skipped.
        """
        served = {
            context.path: context
            for context in iter_route_contexts(app.routes)
            if "GET" in (context.methods or ())
        }
        for hot in self.routes:
            route = served.get(hot.path)
            if route is None or route.endpoint is not hot.endpoint:
                raise TypeError(f"{hot.path} cannot be hot: FastAPI does not serve it so")
            needs = {needed.call for needed in route.dependant.dependencies} - {get_reads}
            if needs or route.status_code not in (None, 200):
                raise TypeError(f"{hot.path} cannot be hot: its route has {needs or 'a status'}")


class HotRoute:
    """One path and its endpoint."""

    def __init__(self, path: str, endpoint: Endpoint) -> None:
        self.path = path
        self.endpoint = endpoint
        self._pattern, _, convertors = compile_path(path)
        hints = get_type_hints(endpoint, include_extras=True)
        model = hints.get("return")
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{endpoint.__qualname__} cannot be hot: it must return a model")
        self.to_json = partial(model.__pydantic_serializer__.to_json, by_alias=True)
        self._reads: list[str] = []
        self._parameters: dict[str, Callable[[str], Any]] = {}
        for name in signature(endpoint).parameters:
            if hints.get(name) == Reads:
                self._reads.append(name)
            elif name in convertors:
                self._parameters[name] = TypeAdapter(hints[name]).validator.validate_python
            else:
                raise TypeError(
                    f"{endpoint.__qualname__} cannot be hot: {name} is neither in the path nor Reads"
                )

    def match(self, scope: Scope) -> dict[str, Any] | None:
        """Return the endpoint's arguments, None when the request is not plainly a hit."""
        found = self._pattern.fullmatch(scope["path"].removeprefix(scope.get("root_path", "")))
        if found is None:
            return None
        try:
            arguments = {name: parse(found[name]) for name, parse in self._parameters.items()}
        except ValidationError:
            return None
        for name in self._reads:
            arguments[name] = scope["state"]["database"].reads
        return arguments
