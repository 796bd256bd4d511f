"""Errors as problem details (RFC 9457), the same shape for every failure."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Scope
from starlette.websockets import WebSocket, WebSocketClose, WebSocketState

MAX_ERRORS = 20  # of a request that are told
MAX_PLACE = 100  # characters of a place, which may be a key that the client sent
MAX_REASON = 500


class Problem(BaseModel):
    """The body of every error response."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: list[Any] | None = None


class ProblemError(HTTPException):
    """Raise to answer with problem details.

    Args:
        status: the HTTP status code.
        detail: one sentence for the client; it is sent as it is.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)


class ProblemResponse(JSONResponse):
    """Problem details under their own media type.

    Args:
        status: the HTTP status code.
        detail: one sentence for the client.
        errors: what else there is to say; FastAPI allows any JSON as the detail of an error.
    """

    media_type = "application/problem+json"

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        errors: list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        try:
            title = HTTPStatus(status).phrase
        except ValueError:
            title = "Error"
        problem = Problem(title=title, status=status, detail=detail, errors=errors)
        super().__init__(problem.model_dump(exclude_none=True), status, headers=headers)


# In the OpenAPI document, for every route.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Error",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
}


def problem_for(error: HTTPException) -> Response:
    """Return the answer that an exception stands for."""
    if error.status_code in (204, 304):  # these have no body
        return Response(status_code=error.status_code, headers=error.headers)
    if isinstance(error.detail, str):
        return ProblemResponse(error.status_code, error.detail, headers=error.headers)
    errors = error.detail if isinstance(error.detail, list) else [error.detail]
    return ProblemResponse(error.status_code, errors=errors, headers=error.headers)


def _place(parts: Sequence[int | str]) -> list[int | str]:
    return [part[:MAX_PLACE] if isinstance(part, str) else part for part in parts[:MAX_ERRORS]]


def methods_of(app: FastAPI, scope: Scope) -> set[str]:
    """Return the methods that there are at a request's path: routing tells those of one route."""
    path = scope["path"].removeprefix(scope.get("app_root_path", scope["root_path"]))
    return {
        method
        for route in iter_route_contexts(app.routes)
        if route.methods and route.path_regex.fullmatch(path)
        for method in route.methods
    }


def add_problem_details(app: FastAPI) -> None:
    """Answer every error of `app` with problem details.

    Exceptions that no route expects are the business of the outermost middleware,
    which knows the request's id.
    """

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request | WebSocket, error: HTTPException) -> ASGIApp:
        if isinstance(request, WebSocket):
            if request.application_state is WebSocketState.CONNECTING:
                return problem_for(error)
            # Once accepted it has no other answer: "try again later", or an internal error.
            return WebSocketClose(1013 if error.status_code == 503 else 1011)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            methods = methods_of(app, request.scope)
            if "GET" in methods:
                methods.add("HEAD")  # which the guard answers
            if methods and request.method not in methods:
                error.headers = {**(error.headers or {}), "Allow": ", ".join(sorted(methods))}
        return problem_for(error)

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(_: Request, error: RequestValidationError) -> ProblemResponse:
        # The refused value stays out of the answer: it may be a secret.
        found = error.errors()
        errors = [
            {
                "loc": _place(entry["loc"]),
                "msg": entry["msg"][:MAX_REASON],
                "type": entry["type"],
            }
            for entry in found[:MAX_ERRORS]
        ]
        detail = "The request is not valid."
        if len(found) > len(errors):
            detail += f" The first {len(errors)} of {len(found)} errors are here."
        return ProblemResponse(422, detail, errors=errors)
