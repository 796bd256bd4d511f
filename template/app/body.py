"""Limits of request bodies: the size of each, the values in its JSON, and the size of all at once."""

import re
from itertools import islice

from starlette.types import Message, Receive

from app.errors import ProblemError

# So many bodies of the largest size may be in memory at once; a small one always may.
AT_ONCE = 4
SMALL = 16_384  # bytes

# Up to the next value: a comma or an opening bracket outside strings. Possessive, so that a
# hostile body is read once.
_VALUE = re.compile(rb'[^",\[{]*+(?:"(?:[^"\\]++|\\.)*+"?+[^",\[{]*+)*+(?:([,\[{])|\Z)', re.DOTALL)


class BodyLimits:
    """The limits, and how much of them is in use.

    Args:
        size: bytes of one body.
        values: in the JSON of one. Each may become an object, an error and a line of the answer,
            so a megabyte of the shortest would take a hundred.
    """

    def __init__(self, size: int, values: int) -> None:
        self.size = size
        self.values = values
        self.too_large = f"A body has at most {size} bytes."
        self.held = 0  # bytes of the bodies of all requests

    def has_too_many_values(self, body: bytes) -> bool:
        """Return whether a JSON body has more values than the limit."""
        if sum(map(body.count, (b",", b"[", b"{"))) <= self.values:
            return False
        if b"\0" in body:  # UTF-16 or UTF-32, in which the quotes cannot be found
            return True
        values = (match for match in _VALUE.finditer(body) if match.lastindex)
        return next(islice(values, self.values, None), None) is not None


class Body:
    """The body of one request, as it arrives.

    Args:
        limits: shared by all requests.
        is_json: whether it will be parsed.
    """

    __slots__ = ("_is_json", "_limits", "_parts", "_receive", "is_late", "size")

    def __init__(self, receive: Receive, limits: BodyLimits, *, is_json: bool) -> None:
        self._receive = receive
        self._limits = limits
        self._is_json = is_json
        self._parts: list[bytes] = []
        self.size = 0  # bytes that have arrived
        self.is_late: bool | None = None  # while a part is awaited; None until one is

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            ProblemError: 413 when the body is too large, 503 when all bodies together are.
        """
        if self.is_late is None:
            self.is_late = True
        message = await self._receive()
        part = message.get("body", b"")
        limits = self._limits
        self.size += len(part)
        limits.held += len(part)
        self.is_late = self.is_late and message.get("more_body", False)
        if self.size > limits.size:
            raise ProblemError(413, limits.too_large)
        if self.size > SMALL and limits.held > AT_ONCE * limits.size:
            raise ProblemError(
                503, "Too many large bodies arrive at once.", headers={"Retry-After": "1"}
            )
        if self._is_json:
            self._parts.append(part)
            if not self.is_late:
                body, self._is_json, self._parts = b"".join(self._parts), False, []
                if len(body) > limits.values and limits.has_too_many_values(body):
                    raise ProblemError(413, f"A JSON body has at most {limits.values} values.")
        return message

    def release(self) -> None:
        """Give its share of the memory of all bodies back."""
        self._limits.held -= self.size
