"""Whether any worker answers through the broker: `python -m app.tasks.ping`, for people."""

import sys
from importlib import import_module
from typing import Any

from app.jobs.settings import TaskSettings, broker_module
from app.tasks.broker import new_celery

TIMEOUT = 3.0  # seconds that workers have to answer in


def ping(settings: TaskSettings) -> list[str]:
    """Return the names of the workers that answer.

    Raises:
        Exception: of the broker's client, when that cannot be reached.
    """
    celery = new_celery(settings)
    broker: Any = import_module(str(broker_module(settings.broker_url)))
    with celery.connection_for_write(
        connect_timeout=TIMEOUT, transport_options=broker.impatient(TIMEOUT)
    ) as connection:
        connection.connect()
        answers = celery.control.ping(timeout=TIMEOUT, connection=connection)
    return sorted(name for answer in answers for name in answer)


def main() -> None:
    """Print who answers, or say that nobody does."""
    settings = TaskSettings()
    if not settings.broker_url:
        sys.exit("BROKER_URL is not set.")
    try:
        workers = ping(settings)
    except Exception as error:
        sys.exit(f"The broker does not answer: {type(error).__name__}.")
    if not workers:
        sys.exit("No worker answers.")
    print("\n".join(workers))


if __name__ == "__main__":
    main()
