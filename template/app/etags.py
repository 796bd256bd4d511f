"""ETags, and writes on the condition that nobody else has written meanwhile (`If-Match`).

@router.patch("/things/{thing_id}")
async def update_thing(thing_id: Id, ..., session: WriteSession, if_match: IfMatch) -> Thing:
    thing = await session.get(..., with_for_update=True)  # so that none does after the check
    if_match.check(_read(thing))  # what a GET would give now
"""

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header
from pydantic import BaseModel

from app.errors import ProblemError

# One member of If-None-Match: a tag, or something without quotes that is none. Possessive,
# for a hostile header must not make it try again from each of its spaces.
_MEMBER = re.compile(rb'[ \t]*+(?:((?:W/)?"[^"]*+")[ \t]*+|[^",]*+)(?:,|\Z)')

# By its name, how a middleware encodes whole answers: what is kept of those has another ETag.
CODINGS: dict[str, Callable[[bytes], bytes]] = {}


def etag_of(body: bytes) -> bytes:
    """Return the strong ETag of these very bytes."""
    # Most processors have instructions for it, which halve the time of others. Half of it tells
    # bodies apart.
    return b'"%s"' % sha256(body).hexdigest()[:32].encode()


def tags_in(line: bytes) -> Iterator[bytes]:
    """Yield the tags of one line.

    A quote out of place ends it: after that nobody can tell what is a tag and what stands
    between two.
    """
    position = 0
    while position < len(line) and (member := _MEMBER.match(line, position)):
        position = member.end()
        if member[1]:
            yield member[1]


class Precondition:
    """The request's `If-Match`.

    Args:
        lines: the header's values.
    """

    def __init__(self, lines: list[str]) -> None:
        self.lines = [line.strip() for line in lines]

    def check(self, current: BaseModel, *, required: bool = False) -> None:
        """Refuse a change of another version than the one there is, in the change's transaction.

        Args:
            current: what a GET would give now.
            required: whether the client has to name the version that it changes.

        Raises:
            ProblemError: 412, when it names another; 428, when it has to and names none.
        """
        if not self.lines:
            if required:
                raise ProblemError(428, "If-Match must name the ETag of what is to be changed.")
            return
        # Weak tags match nothing here (RFC 9110, section 13.1.1).
        named = {tag for line in self.lines for tag in tags_in(line.encode("latin-1"))}
        body = current.__pydantic_serializer__.to_json(current, by_alias=True)
        if self.lines == ["*"] or etag_of(body) in named:
            return
        if named.isdisjoint([etag_of(encode(body)) for encode in CODINGS.values()]):
            raise ProblemError(412, "It has been changed meanwhile.")


async def get_precondition(if_match: Annotated[list[str] | None, Header()] = None) -> Precondition:
    """Give the request's precondition."""
    return Precondition(if_match or [])


IfMatch = Annotated[Precondition, Depends(get_precondition)]
