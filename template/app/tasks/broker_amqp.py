"""RabbitMQ as the broker, with quorum queues: what it has confirmed outlives any one machine.

https://www.rabbitmq.com/docs/quorum-queues
"""

from ssl import CERT_NONE, CERT_REQUIRED
from typing import Any

from kombu.transport import pyamqp

from app.jobs.settings import TaskSettings
from app.tls_parameters import TLS, tls_options
from app.url_parameters import SECONDS, parse_query, read_parameters

QUEUE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum"}


TABLE = {"heartbeat": SECONDS, **TLS}


class _SSLTransport(pyamqp.SSLTransport):
    def establish_connection(self) -> Any:
        client: Any = self.client
        if "server_hostname" in client.ssl:
            # Of the node that it connects to now: kombu keeps the first one's name for all.
            client.ssl = client.ssl | {"server_hostname": client.hostname}
        return super().establish_connection()  # type: ignore[no-untyped-call]


pyamqp.SSLTransport = _SSLTransport  # type: ignore[misc]


def split(url: str) -> tuple[str, dict[str, Any]]:
    """Return a URL as Celery takes it, and what of its configuration follows from its parameters."""
    found = read_parameters(parse_query(url), TABLE, {})
    secure = url.startswith("amqps:")
    tls = tls_options(found, secure=secure)
    given: dict[str, Any] = {}
    if secure:
        use_ssl: dict[str, Any] = {"cert_reqs": CERT_REQUIRED}
        if tls.pop("ssl_cert_reqs") == "none":
            use_ssl = {"cert_reqs": CERT_NONE}
        if tls.pop("ssl_check_hostname"):
            use_ssl["server_hostname"] = None  # the URL's
        use_ssl |= {name.removeprefix("ssl_"): value for name, value in tls.items()}
        given["broker_use_ssl"] = use_ssl
    if "heartbeat" in found:
        given["broker_heartbeat"] = float(found["heartbeat"])
    return url.partition("?")[0], given


def options(settings: TaskSettings) -> dict[str, Any]:
    """Return what Celery needs to know of it."""
    return {
        "broker_transport_options": {"confirm_publish": True},
        "broker_heartbeat": 30,  # seconds
        "task_default_queue_type": "quorum",
        # Quorum queues know no prefetch for all consumers of a channel together.
        "worker_detect_quorum_queues": True,
    }


def impatient(timeout: float) -> dict[str, Any]:
    """Return the options of a connection that waits for at most so many seconds."""
    return {
        "confirm_publish": True,
        "read_timeout": timeout,
        "write_timeout": timeout,
    }
