"""Parameters of TLS, which URLs of what is no database have in common."""

from collections.abc import Mapping
from typing import Any

from app.url_parameters import FILE, FLAG, Parameter

TLS = {
    "ssl_cert_reqs": Parameter(
        "required or none",
        lambda value: value.lower() in ("required", "cert_required", "none", "cert_none"),
    ),
    "ssl_check_hostname": FLAG,
    "ssl_ca_certs": FILE,
    "ssl_certfile": FILE,
    "ssl_keyfile": FILE,
}


def tls_options(found: Mapping[str, str], *, secure: bool) -> dict[str, Any]:
    """Return the parameters of TLS as clients take them; certificates are checked unless told.

    Args:
        found: the parameters of a URL.
        secure: whether its scheme is one of TLS.

    Raises:
        ValueError: when there are parameters of TLS, and no TLS.
    """
    options: dict[str, Any] = {name: found[name] for name in TLS if name in found}
    if not secure:
        if options:
            raise ValueError(
                f"has the parameter {min(options)!r}, which means nothing without TLS:"
                " add an s to the scheme"
            )
        return {}
    checked = not options.get("ssl_cert_reqs", "required").lower().endswith("none")
    by_name = options.get("ssl_check_hostname", "true").lower() == "true"
    options["ssl_cert_reqs"] = "required" if checked else "none"
    options["ssl_check_hostname"] = checked and by_name
    return options
