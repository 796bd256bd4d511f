"""Names of hosts and of pages' origins in settings: separated by commas, or a JSON list."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import from_json
from pydantic_settings import NoDecode

_NAME = r"[a-z0-9_-]+(\.[a-z0-9_-]+)*"
_HOST = re.compile(rf"\*|(\*\.)?{_NAME}|\[[0-9a-f:.]+\]")
# A browser leaves out the port that its scheme has anyway.
_ORIGIN = re.compile(
    rf"\*|(?!https:.*:443\Z|http:.*:80\Z)[a-z][a-z0-9+.-]*://({_NAME}|\[[0-9a-f:.]+\])(:[0-9]+)?"
)


def _reader(pattern: re.Pattern[str], wrong: str) -> Callable[[str | list[str]], list[str]]:
    """Return a function that reads a list of names, and refuses what no request can match."""

    def read(given: str | list[str]) -> list[str]:
        if isinstance(given, str):
            is_json = re.match(r"\s*\[\s*[\]\"]", given)
            try:
                given = from_json(given) if is_json else given.split(",")
            except ValueError:
                raise ValueError("begins as a JSON list and is none: use commas alone") from None
        names = [str(name).strip().lower() for name in given if str(name).strip()]
        for name in names:
            if not pattern.fullmatch(name):
                raise ValueError(f"has {name!r}, which no request can match: {wrong}")
        return names

    return read


Hosts = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(_reader(_HOST, "give names without scheme, port and path, as in example.com")),
]
Origins = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(
        _reader(_ORIGIN, "give scheme, name and unusual port only, as in https://example.com")
    ),
]
