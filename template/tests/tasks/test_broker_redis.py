"""What is of Redis."""

import pytest

from app.jobs.settings import TaskSettings
from app.tasks.broker import new_celery


def test_a_worker_outlives_the_loss_of_its_connection() -> None:
    celery = new_celery(TaskSettings(broker_url="redis://127.0.0.1:1"))
    transport = celery.connection_for_read().transport
    channel = transport.Channel.__new__(transport.Channel)
    channel.connection = None  # as it is afterwards, while a job that has run is acknowledged

    with pytest.raises(transport.connection_errors):  # of which a worker knows what to do
        channel._connparams()
