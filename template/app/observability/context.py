"""The request that is being answered, for all that tells of it."""

from contextvars import ContextVar
from time import perf_counter

from starlette.types import Scope

GONE = 499  # the status of a request whose client left before there was an answer


class RequestContext:
    """What is known of a request so far.

    Args:
        request_id: its id.
        scope: its ASGI scope, in which routing leaves the route.
    """

    __slots__ = (
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
        self._spans: list[tuple[float, float]] | None = None  # of statements, none overlapping
        self.started = perf_counter()

    @property
    def route(self) -> str | None:
        """The template of the route's path with all prefixes, None when there is no such route."""
        return path_template(self.scope)

    def add_share(self, name: str, seconds: float) -> None:
        """Take note of time that was spent on something other than the database."""
        if self.shares is None:
            self.shares = {}
        self.shares[name] = self.shares.get(name, 0.0) + seconds

    def add_statement(self, seconds: float) -> None:
        """Take note of a statement that ends now; several may have run at once."""
        end = perf_counter()
        start = end - seconds
        if self._spans is None:
            self._spans = []
        while self._spans and self._spans[-1][1] > start:
            other, its_end = self._spans.pop()
            self.database_seconds -= its_end - other
            start = min(start, other)
        self._spans.append((start, end))
        self.database_seconds += end - start


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
