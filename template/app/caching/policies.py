"""What may be kept of which route, and under which key: one readable line each.

POLICIES: Policies = {
    "/things": Cached(seconds=30, query=["limit", "cursor"], tags=["things"]),
    "/things/{thing_id}": Cached(seconds=60, tags=["thing:{thing_id}"]),
}
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from random import uniform
from time import time
from typing import Any, get_args
from urllib.parse import parse_qsl

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.security.base import SecurityBase
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.routing import compile_path
from starlette.types import Scope

from app.caching.entries import Entry
from app.database.roads import get_reads
from app.etags import etag_of

SHORTEST = 0.01  # seconds
SHORT = 256  # characters of a path and a query, or of a header, that are remembered

EVERYTHING = "*"  # a tag of every entry

# Of another answer, said of the connection, or said anew.
NOT_KEPT = frozenset({b"age", b"connection", b"date", b"keep-alive", b"transfer-encoding", b"vary"})

# Returns whose request it is, from credentials that it has verified; None when nobody's.
User = Callable[[HTTPConnection], Awaitable[str | None]]


@dataclass(frozen=True, kw_only=True)
class Cached:
    """A policy: how long an answer is kept, what its key is made of, and what makes it stale.

    A request with credentials is neither answered from a shared entry nor kept in one.

    Args:
        seconds: how long, unless a write comes first. A tenth less at random, so that what
            was made at once does not go at once.
        query: the query parameters that the answer depends on; others are not looked at.
        headers: the request's headers that it depends on, in lower case.
        user: keeps an entry for each user; others get none.
        tags: what it is made of, with path parameters in braces; writes name what they change.
        statuses: which answers are kept; never one that sets a cookie.
        dependencies: of the route, beside `Reads`, whose results follow from all of this.
        public: whether proxies may keep it too.
        max_age: seconds for which clients need not ask again, writes or not.
    """

    seconds: float
    query: Sequence[str] = ()
    headers: Sequence[str] = ()
    user: User | None = None
    tags: Sequence[str] = ()
    statuses: Sequence[int] = (200,)
    dependencies: Sequence[Callable[..., Any]] = ()
    public: bool = False
    max_age: int = 0

    def __post_init__(self) -> None:
        if not (isfinite(self.seconds) and self.seconds >= SHORTEST):
            raise ValueError(f"an entry is kept for {SHORTEST} seconds at least, and not for ever")
        if any(name != name.lower() for name in self.headers):
            raise ValueError("names of headers are in lower case, as ASGI has them")
        if self.public and self.user is not None:
            raise ValueError("what is kept for each user is not public")


Policies = Mapping[str, Cached]


@dataclass(slots=True)
class Match:
    """A request under a policy.

    Args:
        key: of its entry; a digest, so that the client's words take no memory.
        tags: with the values of path parameters.
        query: what of it is in the key, and all that the route gets to see.
    """

    key: bytes
    tags: list[str]
    query: bytes = b""


@dataclass
class Route:
    """A path and its policy; `scope["route"]` when it answers, as the metrics have it.

    Args:
        path: with all prefixes, as FastAPI serves it.
        policy: what may be kept of it.
        encodes: for which `Accept-Encoding` a middleware further in encodes, where there is one.
    """

    path: str
    policy: Cached
    encodes: Callable[[str], bool] | None = None

    def __post_init__(self) -> None:
        self._pattern, _, self._convertors = compile_path(self.path)
        self._parameters: dict[str, Any] = {}  # FastAPI's fields of the path
        self._query = frozenset(self.policy.query)
        self._headers = [name.encode() for name in self.policy.headers]
        self._varies = [*self.policy.headers]
        if self.encodes is not None:
            self._varies.append("accept-encoding")
        if self.policy.user is not None:
            self._varies += ["authorization", "cookie"]
        self._vary = ", ".join(self._varies).encode()
        who = "public" if self.policy.public else "private"
        age = f"max-age={self.policy.max_age}" if self.policy.max_age else "no-cache"
        self._cache_control = f"{who}, {age}".encode()
        self._known = lru_cache(maxsize=1024)(self._matched)

    def match(self, scope: Scope) -> Match | None:
        """Return key and tags of a request, None when its path is not this or not valid."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        query: bytes = scope["query_string"] if self._query else b""
        matched = self._known if len(path) + len(query) < SHORT else self._matched
        match = matched(path, query)
        if match is None or not self._headers:
            return match
        key = [match.key.hex()]
        for header in self._headers:
            values = [value.decode("latin-1") for sent, value in scope["headers"] if sent == header]
            key += [str(len(values)), *values]
        return Match(digest(key), match.tags, match.query)

    def _matched(self, path: str, query: bytes) -> Match | None:
        found = self._pattern.fullmatch(path)
        if found is None:
            return None
        parameters: dict[str, Any] = found.groupdict()
        for name, text in parameters.items():
            value, errors = self._parameters[name].validate(text, {}, loc=("path", name))
            # /things/07 may be another route's, and its tag would be another one.
            if errors or _written(value) != text:
                return None
        key, seen = [path], ""
        if query:
            # Sorted by name only: of a parameter sent twice the order counts.
            named = [one for one in query_pairs(query.decode("latin-1")) if one[0] in self._query]
            named.sort(key=_name)
            key += [part for name, value, _ in named for part in (name, value)]
            seen = "&".join([part for _, _, part in named])
        return Match(
            digest(key),
            [EVERYTHING, *(tag.format_map(parameters) for tag in self.policy.tags)],
            seen.encode("latin-1"),
        )

    def has_in_key(self, vary: str) -> bool:
        """Tell whether the key has all that a `Vary` header names, in lower case."""
        return {name.strip() for name in vary.split(",")} <= {*self._varies}

    def tells_apart(self, coding: str) -> bool:
        """Tell whether the key says that who asks can read this content coding."""
        return self.encodes is None or self.encodes(coding)

    def entry(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Entry:
        """Return an answer as it is kept, with validators, and with what caches may do with it."""
        kept = [pair for pair in headers if pair[0] not in NOT_KEPT]
        own = dict(kept)
        etag = own.get(b"etag")
        if etag is None:
            etag = etag_of(body)
            kept.append((b"etag", etag))
        if b"cache-control" not in own:
            kept.append((b"cache-control", self._cache_control))
        if self._vary:
            kept.append((b"vary", self._vary))
        seconds = self.policy.seconds * uniform(0.9, 1)  # noqa: S311
        return Entry(status, kept, etag, body, time(), seconds)

    def check(self, app: FastAPI) -> None:
        """Refuse a policy whose route depends on more than its key.

        Raises:
            TypeError: when it does, so that nobody gets what was made for others.
        """
        served = next(
            (
                context
                for context in iter_route_contexts(app.routes)
                if context.path == self.path and "GET" in (context.methods or ())
            ),
            None,
        )
        if served is None:
            raise TypeError(f"{self.path} cannot be cached: no route is served there")
        for tag in self.policy.tags:
            try:
                tag.format_map(dict.fromkeys(self._convertors, ""))
            except (KeyError, IndexError, ValueError) as error:
                raise TypeError(f"{self.path} has no path parameter for its tag {tag}") from error
        self._parameters = {one.alias: one for one in _path_fields(served.dependant)}
        unknown = self._unknown(served.dependant)
        unknown += [f"the path's {name}" for name in self._convertors.keys() - self._parameters]
        if unknown:
            raise TypeError(
                f"{self.path} cannot be cached: its policy says nothing of {', '.join(unknown)}"
            )

    def _unknown(self, dependant: Any) -> list[str]:
        """Return what an answer depends on that is not in the key."""
        known = {get_reads, *self.policy.dependencies}
        found = [f"the query's {name}" for name in _names(dependant.query_params) - self._query]
        headers = {name.lower() for name in _names(dependant.header_params, dashes=True)}
        found += [f"the header {name}" for name in headers - {*self.policy.headers}]
        found += [f"the cookie {name}" for name in _names(dependant.cookie_params)]
        if dependant.body_params:
            found.append("the body")
        if dependant.background_tasks_param_name:
            found.append("tasks that run after each answer")
        whole = dependant.request_param_name or dependant.http_connection_param_name
        if whole and dependant.call not in known and not isinstance(dependant.call, SecurityBase):
            found.append(f"the whole request ({whole})")
        for needed in dependant.dependencies:
            name = getattr(needed.call, "__name__", type(needed.call).__name__)
            if needed.own_oauth_scopes:
                found.append(f"the scopes {', '.join(needed.own_oauth_scopes)}")
            if isinstance(needed.call, SecurityBase):
                if self.policy.user is None:
                    found.append(f"the user ({name})")
            elif needed.call not in known:
                found.append(f"the dependency {name}")
                continue
            found += self._unknown(needed)
        return found


def digest(words: Sequence[str | bytes]) -> bytes:
    """Return a key for words, of the same length for any."""
    return blake2b(repr(words).encode(errors="surrogatepass"), digest_size=16).digest()


def query_pairs(query: str) -> list[tuple[str, str, str]]:
    """Return names and values of a query's parameters as FastAPI reads them, and as they came."""
    if "%" in query or "+" in query:
        parts = [part for part in query.split("&") if part]
        read = [parse_qsl(part, keep_blank_values=True)[0] for part in parts]
        return [(*pair, part) for pair, part in zip(read, parts, strict=True)]
    # The same where nothing is encoded, at a fifth of the cost.
    split = ((part, part.partition("=")) for part in query.split("&") if part)
    return [(name, value, part) for part, (name, _, value) in split]


def _name(one: tuple[str, str, str]) -> str:
    return one[0]


def _written(value: Any) -> str:
    """Return a path parameter's value as a path has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def _names(fields: Sequence[Any], *, dashes: bool = False) -> set[str]:
    """Return the names that clients send, those of a model's fields for a model of parameters."""
    names: set[str] = set()
    for one in fields:
        model = _model(one.field_info.annotation)
        if model is None:
            names.add(_sent(one.field_info, one.alias))
            continue
        for name, info in model.model_fields.items():
            names.add(_sent(info, name.replace("_", "-") if dashes else name))
        config, validators = model.model_config, model.__pydantic_decorators__.model_validators
        by_name = config.get("populate_by_name") or config.get("validate_by_name")
        # A model is given all that was sent. Of a query the route gets what is in the key only.
        if config.get("extra") == "allow" or (dashes and (by_name or validators)):
            names.add("other parameters")
    return names


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model whose fields are parameters of their own, also where it may be left out."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _sent(info: Any, name: str) -> str:
    alias = info.validation_alias or info.alias or name
    return alias if isinstance(alias, str) else f"{name} by several names"


def _path_fields(dependant: Any) -> list[Any]:
    found = list(dependant.path_params)
    for needed in dependant.dependencies:
        found += _path_fields(needed)
    return found
