"""The request that is being answered, for all that tells of it."""

from contextvars import ContextVar
from time import perf_counter
from typing import NamedTuple

from starlette.types import Scope

GONE = 499  # the status of a request whose client left before there was an answer
DATABASE = "db"


class FinishedRequest(NamedTuple):
    """What is told of a request that was answered.

    Args:
        id: its id.
        method: its HTTP method.
        path: without the query, which may hold secrets.
        route: the template of the route's path with all prefixes, None without such a route.
        status: of the answer.
        seconds: from its arrival to the end of the answer.
        database_seconds: in which at least one statement ran.
    """

    id: str
    method: str
    path: str
    route: str | None
    status: int
    seconds: float
    database_seconds: float


class Share:
    """Time spent on one thing, of which several may run at once."""

    __slots__ = ("seconds", "spans")

    def __init__(self) -> None:
        self.seconds = 0.0  # in which at least one ran
        self.spans: list[tuple[float, float]] = []  # from, until; in order, none overlapping

    def add(self, start: float, end: float) -> None:
        """Add a span; none that was added ends later."""
        spans = self.spans
        covered = 0.0
        while spans and spans[-1][1] > start:  # several ran at once
            other, its_end = spans.pop()
            covered += its_end - other
            start = min(start, other)
        spans.append((start, end))
        self.seconds += end - start - covered


class RequestContext:
    """What is known of a request so far.

    Args:
        request_id: its id.
        scope: its ASGI scope, in which routing leaves the route.
    """

    # Found in the class until a request has its own.
    status = GONE
    seconds = 0.0  # from its arrival to the end of the answer, once that is reached
    shares: dict[str, Share] | None = None  # what its time was spent on

    def __init__(self, request_id: str, scope: Scope) -> None:
        self.id = request_id
        self.scope = scope
        self.started = perf_counter()

    @property
    def route(self) -> str | None:
        """The template of the route's path with all prefixes, None when there is no such route."""
        return path_template(self.scope)

    def add_share(self, name: str, seconds: float) -> None:
        """Take note of time spent on something, which ends now."""
        if self.shares is None:
            self.shares = {}
        share = self.shares.get(name)
        if share is None:
            share = self.shares[name] = Share()
        end = perf_counter()
        share.add(end - seconds, end)

    def seconds_of_shares(self) -> float:
        """Return the time in which it was spent on anything."""
        shares = [*(self.shares or {}).values()]
        if len(shares) == 1:
            return shares[0].seconds
        together = Share()  # what ran beside something else counts once
        for start, end in sorted((span for one in shares for span in one.spans), key=_end):
            together.add(start, end)
        return together.seconds

    def finished(self) -> FinishedRequest:
        """Return what is told of it: the scope, and all that hangs on it, may go."""
        scope = self.scope
        database = self.shares and self.shares.get(DATABASE)
        return FinishedRequest(
            self.id,
            scope["method"],
            scope["path"],
            path_template(scope),
            self.status,
            # Work after the answer takes no time of the client's: it has set this already.
            self.seconds or perf_counter() - self.started,
            database.seconds if database else 0.0,
        )


def _end(span: tuple[float, float]) -> float:
    return span[1]


def path_template(scope: Scope) -> str | None:
    """Return the template of the path that was routed, with all prefixes, None without a route."""
    # FastAPI keeps an included route with the path that its own router knows, and the
    # whole path in what it calls the effective context.
    fastapi = scope.get("fastapi")
    route = fastapi.get("effective_route_context") if fastapi else None
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
        request.add_share(DATABASE, seconds)
