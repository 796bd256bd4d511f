"""RabbitMQ as the broker, with quorum queues: what it has confirmed outlives any one machine.

https://www.rabbitmq.com/docs/quorum-queues
"""

from typing import Any

from app.jobs.settings import TaskSettings

QUEUE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum"}


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
