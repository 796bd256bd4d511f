"""A worker's own connection to the broker."""

from functools import partial
from typing import Any

from celery.worker import consumer

LONGEST = 3.0  # seconds between two tries to connect; Celery lets them grow to 30


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Celery's, which comes back within seconds, however long the broker was away."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps of its start."""

        # Nothing here is delivered later: some brokers would have 28 queues more for that.
        default_steps = tuple(
            step
            for step in consumer.Consumer.Blueprint.default_steps
            if "delayed_delivery" not in step
        )

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, and try until it works."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=1, interval_step=1, interval_max=LONGEST
        )
        return super().ensure_connected(conn)
