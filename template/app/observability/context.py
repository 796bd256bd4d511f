"""The request that is being answered, for all that tells of it."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from operator import itemgetter
from time import perf_counter

from fastapi.routing import iter_route_contexts
from starlette.routing import Mount
from starlette.types import Scope

GONE = 499  # the status of a request whose client left before there was an answer
DATABASE = "db"

Span = tuple[str, float, float]  # what time was spent on, from when, until when: perf_counter
MAX_SPANS = 1000  # that are remembered one by one: a stream may go on for days


def shares(spans: Sequence[Span]) -> tuple[dict[str, float], float]:
    """Return the seconds of each name, and of all together: what ran at once counts once."""
    by_name: dict[str, float] = {}
    total, last = 0.0, -inf
    for name, start, end in spans:
        if start < last:  # rare, and three times the work
            return _shares_at_once(spans)
        by_name[name] = by_name.get(name, 0.0) + end - start
        total += end - start
        last = end
    return by_name, total


def _shares_at_once(spans: Sequence[Span]) -> tuple[dict[str, float], float]:
    names = dict.fromkeys(name for name, _, _ in spans)
    by_name = {it: _seconds_in([span for span in spans if span[0] == it]) for it in names}
    return by_name, _seconds_in(spans)


def _one_of_each(spans: Sequence[Span]) -> list[Span]:
    """Return one span of each name, as long as all of them, the last of which ends now."""
    by_name, _ = shares(spans)
    start, together = max(end for _, _, end in spans) - sum(by_name.values()), []
    for name, seconds in by_name.items():
        together.append((name, start, start + seconds))
        start += seconds
    return together


def _seconds_in(spans: Sequence[Span]) -> float:
    """Return the seconds in which at least one of them ran."""
    total, last = 0.0, -inf
    for _, start, end in sorted(spans, key=itemgetter(1)):
        if end > last:
            total += end - max(start, last)
            last = end
    return total


@dataclass(slots=True)
class FinishedRequest:
    """What is told of a request that was answered.

    Args:
        id: its id.
        method: its HTTP method.
        path: without the query, which may hold secrets.
        route: the template of the route's path with all prefixes, None without such a route.
        status: of the answer.
        seconds: from its arrival to the end of the answer.
        spans: what its time was spent on.
    """

    id: str
    method: str
    path: str
    route: str | None
    status: int
    seconds: float
    spans: Sequence[Span]

    @property
    def database_seconds(self) -> float:
        """In which at least one statement ran."""
        by_name, _ = shares(self.spans)
        return by_name.get(DATABASE, 0.0)


class RequestContext:
    """What is known of a request so far.

    Args:
        request_id: its id.
        scope: its ASGI scope, in which routing leaves the route.
    """

    __slots__ = ("id", "scope", "seconds", "spans", "started", "status")

    def __init__(self, request_id: str, scope: Scope) -> None:
        self.id = request_id
        self.scope = scope
        self.status = GONE
        self.seconds = 0.0  # from its arrival to the end of the answer, once that is reached
        self.spans: list[Span] = []
        self.started = perf_counter()

    @property
    def route(self) -> str | None:
        """The template of the route's path with all prefixes, None when there is no such route."""
        return path_template(self.scope)

    def add_span(self, name: str, started: float, ended: float) -> None:
        """Take note of time spent on something (`perf_counter()`)."""
        self.spans.append((name, started, ended))
        if len(self.spans) == MAX_SPANS:
            self.spans = _one_of_each(self.spans)

    def finished(self) -> FinishedRequest:
        """Return what is told of it: the scope, and all that hangs on it, may go."""
        scope = self.scope
        return FinishedRequest(
            self.id,
            scope["method"],
            scope["path"],
            path_template(scope),
            self.status,
            # Work after the answer takes no time of the client's: it has set this already.
            self.seconds or perf_counter() - self.started,
            self.spans,
        )


def path_template(scope: Scope) -> str | None:
    """Return the template of the path that was routed, with all prefixes, None without a route."""
    # FastAPI keeps an included route with the path that its own router knows, and the
    # whole path in what it calls the effective context.
    route = scope.get("route")
    if "fastapi" in scope:
        route = scope["fastapi"].get("effective_route_context") or route
    path: str | None = getattr(route, "path", None)
    if path is None or "app_root_path" not in scope:
        return path
    mounts = _templates_of_mounts(scope)  # it is an application's mounted here
    if mounts is None or isinstance(route, Mount):  # which is the last of them itself
        return mounts
    return mounts + path


def _templates_of_mounts(scope: Scope) -> str | None:
    """Return the templates of the mounts that were gone through, None if they cannot be found.

    Routing leaves what they matched, which clients choose.
    """
    root = scope["root_path"].removeprefix(scope["app_root_path"])
    routes, templates = scope["router"].routes, ""
    while root:
        for mount in iter_route_contexts(routes):
            is_mount = isinstance(mount.original_route, Mount)
            found = is_mount and mount.path_regex.match(f"{root}/")
            if found:
                break
        else:
            return None
        routes, templates = mount.routes, f"{templates}{mount.path}"
        root = f"/{found['path']}".rstrip("/")
    return templates


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)


def count_statement(_: str, started: float, ended: float) -> None:
    """Tell the current request of a statement: a listener of the database's recorder."""
    request = current_request.get()
    if request is not None:
        request.add_span(DATABASE, started, ended)
