"""The request that is being answered, for all that tells of it."""

from contextvars import ContextVar
from time import perf_counter

from starlette.types import Scope

Spans = list[tuple[float, float]]  # from, until; in order, none overlapping

GONE = 499  # the status of a request whose client left before there was an answer


class RequestContext:
    """What is known of a request so far.

    Args:
        request_id: its id.
        scope: its ASGI scope, in which routing leaves the route.
    """

    __slots__ = (
        "_others",
        "_spans",
        "database_seconds",
        "id",
        "scope",
        "seconds",
        "shares",
        "started",
        "status",
    )

    def __init__(self, request_id: str, scope: Scope) -> None:
        self.id = request_id
        self.scope = scope
        self.status = GONE
        self.seconds = 0.0  # from its arrival to the end of the answer, once that is reached
        self.database_seconds = 0.0  # in which at least one statement ran
        self.shares: dict[str, float] | None = None  # seconds by what else they were spent on
        self._spans: Spans | None = None  # of statements
        self._others: dict[str, Spans] | None = None  # of the shares
        self.started = perf_counter()

    @property
    def route(self) -> str | None:
        """The template of the route's path with all prefixes, None when there is no such route."""
        return path_template(self.scope)

    def add_share(self, name: str, seconds: float) -> None:
        """Take note of time spent on something other than the database, which ends now."""
        if self.shares is None or self._others is None:
            self.shares, self._others = {}, {}
        spans = self._others.setdefault(name, [])
        self.shares[name] = self.shares.get(name, 0.0) + _add_span(spans, seconds)

    def add_statement(self, seconds: float) -> None:
        """Take note of a statement that ends now."""
        if self._spans is None:
            self._spans = []
        self.database_seconds += _add_span(self._spans, seconds)


def _add_span(spans: Spans, seconds: float) -> float:
    """Add the span that ends now, and return the seconds that no other one covers."""
    end = perf_counter()
    start = end - seconds
    covered = 0.0
    while spans and spans[-1][1] > start:  # several ran at once
        other, its_end = spans.pop()
        covered += its_end - other
        start = min(start, other)
    spans.append((start, end))
    return end - start - covered


def path_template(scope: Scope) -> str | None:
    """Return the template of the path that was routed, with all prefixes, None without a route."""
    # FastAPI keeps an included route with the path that its own router knows, and the
    # whole path in what it calls the effective context.
    route = scope.get("fastapi", {}).get("effective_route_context")
    path: str | None = getattr(route or scope.get("route"), "path", None)
    if path is not None and "app_root_path" in scope:  # it is an application's mounted here
        root: str = scope["root_path"]
        return root.removeprefix(scope["app_root_path"]) + path
    return path


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)


def count_statement(_: str, seconds: float) -> None:
    """Tell the current request of a statement: a listener of the database's recorder."""
    request = current_request.get()
    if request is not None:
        request.add_statement(seconds)
