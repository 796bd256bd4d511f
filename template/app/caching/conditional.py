"""Conditional requests (RFC 9110, section 13): who has the answer already is not sent it again.

The response cache uses this for the bytes it keeps. A route that is not cached saves its
expensive part where something cheap tells the version:

    @router.get("/reports/{report_id}")
    async def get_report(report_id: int, reads: Reads, conditional: Conditional) -> Report:
        row = await reads.one(VERSION, id=report_id)
        if row is None:
            raise ProblemError(404, f"There is no report {report_id}.")
        conditional.check(row["version"])  # a client that has this version gets a 304
        ...  # the expensive query

`If-None-Match` alone decides. `If-Modified-Since` is for answers without an ETag.
"""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from app.etags import etag_of, tags_in

RawHeaders = Iterable[tuple[bytes, bytes]]  # as ASGI has them: names in lower case

# A client may keep the answer for itself, and has to ask each time whether it still holds.
PRIVATE = "private, no-cache"

# What a 304 repeats of the 200 that it stands for (RFC 9110, section 15.4.5).
REPEATED = frozenset({b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"})


def etag_of_version(*parts: object) -> bytes:
    """Return the ETag of a version.

    It is a weak one (RFC 9110, section 8.8.1): the version tells of the data, not of the bytes,
    which a content coding or a new release of the service change under the same version.

    Args:
        parts: all that the answer depends on beside its URL: the row's version, who is asking
            if each user sees something else, a number to raise when the answer gets a new
            shape. They are told apart by their `repr`: plain values, no objects of your own.
    """
    return b"W/" + etag_of(repr(parts).encode())


def held_tag(headers: RawHeaders, etag: bytes) -> bytes | None:
    """Return the ETag as the client has it, None when it has another answer or none.

    The client's may be weak where `etag` is strong, because a content coding weakened it: a 304
    has to repeat the tag of the answer that the client holds.

    Args:
        headers: the request's. Ask this for GET and HEAD only.
        etag: the one that a 200 would have now.
    """
    lines = [value for name, value in headers if name == b"if-none-match"]
    if len(lines) == 1 and lines[0].strip() == b"*":
        return etag
    wanted = etag.removeprefix(b"W/")
    for line in lines:
        for tag in tags_in(line):
            if tag.removeprefix(b"W/") == wanted:  # the weak comparison, section 8.8.3.2
                return tag
    return None


def is_not_modified(headers: RawHeaders, etag: bytes) -> bool:
    """Tell whether a GET or HEAD with these headers is answered with a 304."""
    return held_tag(headers, etag) is not None


def not_modified_headers(
    headers: RawHeaders, tag: bytes | None = None
) -> list[tuple[bytes, bytes]]:
    """Return the headers of a 304.

    Args:
        headers: those of the 200 that it stands for.
        tag: what `held_tag` found, to stand in the place of the 200's own.
    """
    return [
        (name, tag if tag is not None and name == b"etag" else value)
        for name, value in headers
        if name in REPEATED
    ]


class ConditionalGet:
    """The request's condition, and the answer whose ETag settles it."""

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    def check(self, *parts: object) -> None:
        """Give the answer the ETag of a version, and end here if the client has it.

        The answer is `private, no-cache`, unless the route has set its Cache-Control. Headers
        have to be set before this, on FastAPI's `response`: a route that returns a response of
        its own loses them. Methods other than GET and HEAD go on and have no ETag.

        Args:
            parts: see `etag_of_version`.

        Raises:
            HTTPException: 304, for which the route must have found out that there is an answer.
        """
        if self._request.method not in ("GET", "HEAD"):
            return
        etag = etag_of_version(*parts)
        headers = self._response.headers
        headers["ETag"] = etag.decode()
        headers.setdefault("Cache-Control", PRIVATE)
        if is_not_modified(self._request.scope["headers"], etag):
            kept = Headers(raw=not_modified_headers(headers.raw))
            raise HTTPException(304, headers={name: ", ".join(kept.getlist(name)) for name in kept})


async def get_conditional(request: Request, response: Response) -> ConditionalGet:
    """Give the request's condition."""
    return ConditionalGet(request, response)


Conditional = Annotated[ConditionalGet, Depends(get_conditional)]
