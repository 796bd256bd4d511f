"""Redis as the broker. It must keep what it has: `noeviction`, and a file that it appends to."""

from ssl import CERT_NONE, CERT_REQUIRED
from typing import Any
from urllib.parse import urlsplit

from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.jobs.settings import TaskSettings
from app.redis_parameters import split_url

QUEUE_ARGUMENTS: dict[str, Any] = {}

_LOST = (RedisConnectionError, RedisTimeoutError)


TIMEOUT = 10  # seconds without an answer after which a connection is lost; workers ask each second


class _QoS(redis.QoS):
    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except _LOST as error:
            # The only one over which kombu connects anew: it writes any other into the log,
            # and the worker would never take another message in the place of this one.
            raise BrokenPipeError("the connection was lost") from error

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        except _LOST:
            # Kombu logs any error here. So the place is given back by hand, and the message
            # comes again after `visibility_timeout`, or its job by the sweep.
            self._quick_ack(delivery_tag)
            raise


class _Channel(redis.Channel):
    QoS = _QoS

    def _connparams(self, asynchronous: bool = False) -> Any:
        # Kombu's own error here is an AttributeError, over which a worker ends that has run a
        # job while it lost its connection.
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection was lost")
        return super()._connparams(asynchronous)  # type: ignore[no-untyped-call]


redis.Transport.Channel = _Channel


def split(url: str) -> tuple[str, dict[str, Any]]:
    """Return a URL as Celery takes it, and what of its configuration follows from its parameters."""
    address, tls = split_url(url)
    if "db" in tls:
        address = urlsplit(address)._replace(path=f"/{tls.pop('db')}").geturl()
    if tls:
        tls["ssl_cert_reqs"] = CERT_REQUIRED if tls["ssl_cert_reqs"] == "required" else CERT_NONE
    return address, {"broker_use_ssl": tls} if tls else {}


def options(settings: TaskSettings) -> dict[str, Any]:
    """Return what Celery needs to know of it."""
    return {
        "broker_transport_options": {
            # A message that nobody acknowledged for so long goes to another worker, so
            # this is longer than any may run.
            "visibility_timeout": settings.hard_limit * 2 + 60,
            "socket_keepalive": True,
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": 5,  # seconds
            "health_check_interval": 10,  # seconds
        }
    }


def impatient(timeout: float) -> dict[str, Any]:
    """Return the options of a connection that waits for at most so many seconds."""
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout}
