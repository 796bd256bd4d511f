"""The parameters of Redis' URL, for each client that it is given to."""

from typing import Any
from urllib.parse import urlsplit

from app.tls_parameters import TLS, tls_options
from app.url_parameters import NUMBER, parse_query, read_parameters

TABLE = {"db": NUMBER, **TLS}


def split_url(url: str) -> tuple[str, dict[str, Any]]:
    """Return a URL without its parameters, and these as redis-py takes them.

    Raises:
        ValueError: when one of them, or the database's number, makes no sense.
    """
    address = url.partition("?")[0]
    scheme = url.partition("://")[0]
    found = read_parameters(parse_query(url), TABLE, {})
    options = tls_options(found, secure=scheme == "rediss")
    if "db" in found:
        options["db"] = int(found["db"])
    elif scheme != "unix" and not (urlsplit(address).path.strip("/") or "0").isdecimal():
        raise ValueError("has a path that is no number of a database: end it with /0")
    return address, options
