"""The parameters of PostgreSQL's URL, for each driver that it is given to."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from app.url_parameters import FILE, NUMBER, SECONDS, TEXT, Parameter, one_of, read_parameters

DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call]

_MODES = one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERSIONS = one_of("TLSv1.2", "TLSv1.3")

STANDBYS = ("standby", "prefer-standby", "read-only")

# Names are libpq's; asyncpg reads most of them from a DSN as libpq does. Where it cannot do
# something, only the values that ask for nothing are taken.
TABLE = {
    "host": Parameter("host names, as host:port where there are several", bool),
    "port": Parameter("ports", bool),
    "sslmode": _MODES,
    "ssl": Parameter(_MODES.form, _MODES.fits, "sslmode"),  # asyncpg's name
    "sslrootcert": FILE,
    "sslcert": FILE,
    "sslkey": FILE,
    "sslcrl": FILE,
    "sslpassword": TEXT,
    "ssl_min_protocol_version": _VERSIONS,
    "ssl_max_protocol_version": _VERSIONS,
    "channel_binding": one_of("disable", "prefer"),
    "gssencmode": one_of("disable", "prefer"),
    "target_session_attrs": one_of("any", "primary", "read-write", *STANDBYS),
    "application_name": TEXT,
    "options": TEXT,
    # Instead of DATABASE_TIMEOUT.
    "connect_timeout": SECONDS,
    "timeout": Parameter(SECONDS.form, SECONDS.fits, "connect_timeout"),  # asyncpg's name
    # 0: no statement is kept prepared, on any road. The second is SQLAlchemy's name.
    "statement_cache_size": NUMBER,
    "prepared_statement_cache_size": Parameter(NUMBER.form, NUMBER.fits, "statement_cache_size"),
}
INSTEAD = {
    "pgbouncer": "set DATABASE_PGBOUNCER=true",
    "command_timeout": "set REQUEST_DEADLINE",
    "connection_limit": "set DATABASE_WRITE_POOL and DATABASE_READ_POOL",
    "pool_timeout": "set DATABASE_TIMEOUT",
    "schema": "set options=-csearch_path=NAME",
    "search_path": "set options=-csearch_path=NAME",
}
HOSTS = ("host", "port")
# Reads make their sessions read-only, which asyncpg would take for a server that cannot be written.
FOR_READS = {"read-write": "primary", "read-only": "standby"}
_ASYNCPG_CANNOT = ("channel_binding", "gssencmode")


def parameters(url: URL) -> dict[str, str]:
    """Return a URL's parameters by libpq's names, and `statement_cache_size`; hosts are left out.

    Raises:
        ValueError: when one of them makes no sense.
    """
    given = [(name, value) for name, value in url.query.items() if name not in HOSTS]
    found = read_parameters(given, TABLE, INSTEAD)
    if found.get("sslmode", "").startswith("verify") and not (
        "sslrootcert" in found
        or os.environ.get("PGSSLROOTCERT")
        or Path("~/.postgresql/root.crt").expanduser().is_file()
    ):
        raise ValueError(
            f"has the parameter 'sslmode' {found['sslmode']}, which needs a certificate to trust:"
            " add sslrootcert with its file, /etc/ssl/certs/ca-certificates.crt for public ones"
        )
    return found


def connect_options(url: str, *, reads: bool = False) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect` for a URL.

    Args:
        reads: whether sessions will be read-only.

    Raises:
        ValueError: when a parameter makes no sense.
    """
    parsed = make_url(url)
    named = parameters(parsed)
    hosts = parsed.set(query={key: parsed.query[key] for key in HOSTS if key in parsed.query})
    _, options = DIALECT.create_connect_args(hosts)  # type: ignore[no-untyped-call]
    more: dict[str, Any] = {}
    if "connect_timeout" in named:
        more["timeout"] = float(named.pop("connect_timeout"))
    if "statement_cache_size" in named:
        more["statement_cache_size"] = int(named.pop("statement_cache_size"))
    for name in _ASYNCPG_CANNOT:
        named.pop(name, None)
    if reads:
        wanted = named.get("target_session_attrs", os.environ.get("PGTARGETSESSIONATTRS", "any"))
        named["target_session_attrs"] = FOR_READS.get(wanted, wanted)
    if named:
        # asyncpg takes most of them in a DSN only; its other arguments win over that.
        more["dsn"] = f"postgresql://?{urlencode(named)}"
    return {**options, **more}
