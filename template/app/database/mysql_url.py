"""The parameters of MySQL's URL, for each driver that it is given to."""

import ssl
from typing import Any

from sqlalchemy import URL

from app.url_parameters import FILE, FLAG, SECONDS, TEXT, Parameter, one_of, read_parameters

_MODES = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_MODE = Parameter(f"one of {', '.join(_MODES)}", lambda value: value.upper() in _MODES, "ssl_mode")

TABLE = {
    "charset": one_of("utf8mb4"),  # others lose text
    "unix_socket": TEXT,
    "ssl_mode": _MODE,
    "ssl-mode": _MODE,  # MySQL's own name
    "ssl_ca": FILE,
    "ssl_cert": FILE,
    "ssl_key": FILE,
    "ssl_check_hostname": FLAG,
    "sql_mode": TEXT,
    "connect_timeout": SECONDS,  # instead of DATABASE_TIMEOUT
}
INSTEAD = {
    "ssl": "set ssl_mode=REQUIRED, or ssl_ca to check the certificate too",
    "read_timeout": "set REQUEST_DEADLINE",
    "write_timeout": "set REQUEST_DEADLINE",
}


def connect_options(url: URL) -> dict[str, Any]:
    """Return what a driver's `connect` takes for a URL's parameters.

    Raises:
        ValueError: when one of them makes no sense.
    """
    named: dict[str, Any] = read_parameters(url.query.items(), TABLE, INSTEAD)
    tls = {key: named.pop(key) for key in list(named) if key.startswith("ssl_")}
    if tls:
        named["ssl"] = _context(tls)
    if "connect_timeout" in named:
        named["connect_timeout"] = float(named["connect_timeout"])
    return named


def _context(tls: dict[str, str]) -> ssl.SSLContext | None:
    mode = tls.get("ssl_mode", "VERIFY_IDENTITY" if "ssl_ca" in tls else "REQUIRED").upper()
    if mode == "DISABLED":
        return None
    context = ssl.create_default_context(cafile=tls.get("ssl_ca"))
    named = tls.get("ssl_check_hostname", "true").lower() == "true"
    context.check_hostname = named and mode == "VERIFY_IDENTITY"
    if not mode.startswith("VERIFY"):
        context.verify_mode = ssl.CERT_NONE
    if "ssl_cert" in tls:
        context.load_cert_chain(tls["ssl_cert"], tls.get("ssl_key"))
    return context
