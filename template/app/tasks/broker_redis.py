"""Redis as the broker. It must keep what it has: `noeviction`, and a file that it appends to."""

from typing import Any

from kombu.transport import redis

from app.jobs.settings import TaskSettings

QUEUE_ARGUMENTS: dict[str, Any] = {}


class _QoS(redis.QoS):  # type: ignore[misc]
    def restore_unacked(self, client: Any = None) -> None:
        """Hand back what is not acknowledged, unless the connection was lost.

        Then kombu would end the worker over an AttributeError; Redis still has the messages, and
        their jobs go on.
        """
        transport = self.channel.connection
        if transport is None or transport.client is None:
            self._delivered.clear()
        else:
            super().restore_unacked(client)


redis.Channel.QoS = _QoS


def options(settings: TaskSettings) -> dict[str, Any]:
    """Return what Celery needs to know of it."""
    return {
        "broker_transport_options": {
            # A message that nobody acknowledged for so long goes to another worker, so
            # this is longer than any may run.
            "visibility_timeout": settings.hard_limit * 2 + 60,
            "socket_keepalive": True,
            "socket_connect_timeout": 5,  # seconds
            "health_check_interval": 10,  # seconds
        }
    }


def impatient(timeout: float) -> dict[str, Any]:
    """Return the options of a connection that waits for at most so many seconds."""
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout}
