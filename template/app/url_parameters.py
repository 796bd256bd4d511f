"""What may follow the `?` of a URL: names and values that all drivers behind it understand.

Drivers differ: one ignores a name, one fails at each connection, one only in the workers. So each
URL has a table, and what is not in it is refused when the service starts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Parameter:
    """A parameter of a URL.

    Args:
        form: what its value must be, for messages.
        fits: whether a value is that.
        name: its name in what `read_parameters` returns, where that is another one.
    """

    form: str
    fits: Callable[[str], bool]
    name: str | None = None


def _is_seconds(value: str) -> bool:
    try:
        return isfinite(float(value)) and float(value) > 0
    except ValueError:
        return False


def one_of(*values: str) -> Parameter:
    """Return a parameter that has one of these values."""
    return Parameter(f"one of {', '.join(values)}", values.__contains__)


TEXT = Parameter("set once and not empty", bool)
FILE = Parameter("the path of a file that is there", lambda value: Path(value).is_file())
SECONDS = Parameter("a number of seconds above 0", _is_seconds)
NUMBER = Parameter("a whole number", str.isdecimal)
FLAG = Parameter("true or false", lambda value: value.lower() in ("true", "false"))


def read_parameters(
    given: Iterable[tuple[str, object]],
    table: Mapping[str, Parameter],
    instead: Mapping[str, str],
) -> dict[str, str]:
    """Return a URL's parameters by the names that its table gives them.

    Args:
        given: names and values.
        table: the parameters that are understood.
        instead: what to do instead of setting one of the others.

    Raises:
        ValueError: when a parameter is unknown, or its value makes no sense.
    """
    found: dict[str, str] = {}
    for name, value in given:
        parameter = table.get(name)
        if parameter is None:
            hint = instead.get(name, f"remove it, or use one of {', '.join(table)}")
            raise ValueError(
                f"has the parameter {name!r}, which not all drivers of this URL understand: {hint}"
            )
        if not isinstance(value, str) or not parameter.fits(value):
            raise ValueError(f"has the parameter {name!r}, which must be {parameter.form}")
        key = parameter.name or name
        if found.setdefault(key, value) != value:
            raise ValueError(f"has two values for the parameter {name!r}: keep one")
    return found


def parse_query(url: str) -> list[tuple[str, str]]:
    """Return the names and values behind a URL's `?`.

    Raises:
        ValueError: when its password holds a character that ends it for some drivers.
    """
    rest = url.partition("://")[2]
    if set("/?#") & set(rest.rpartition("@")[0]):  # later errors would repeat a part of it
        raise ValueError("needs %2F, %3F and %23 for / ? # in its password")
    return parse_qsl(rest.partition("?")[2], keep_blank_values=True)
