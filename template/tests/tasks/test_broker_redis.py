"""What is of Redis."""

from unittest.mock import Mock

import pytest
from kombu.transport.virtual import QoS
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.jobs.settings import TaskSettings
from app.tasks.broker import new_celery


def test_a_worker_outlives_the_loss_of_its_connection() -> None:
    celery = new_celery(TaskSettings(broker_url="redis://127.0.0.1:1"))
    transport = celery.connection_for_read().transport
    channel = transport.Channel.__new__(transport.Channel)
    channel.connection = None  # as it is afterwards, while a job that has run is acknowledged

    with pytest.raises(transport.connection_errors):  # of which a worker knows what to do
        channel._connparams()


def test_a_worker_whose_acknowledgement_is_not_answered_connects_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    celery = new_celery(TaskSettings(broker_url="redis://127.0.0.1:1"))
    transport = celery.connection_for_read().transport
    assert celery.conf.broker_transport_options["socket_timeout"]

    channel = transport.Channel.__new__(transport.Channel)
    unanswered = channel.QoS.__new__(channel.QoS)
    monkeypatch.setattr(unanswered, "_remove_from_indices", Mock(side_effect=RedisTimeoutError))

    # Any other error of a connection is written into the log, and no more than that.
    with pytest.raises(BrokenPipeError):
        unanswered.ack("tag")


def test_a_message_that_cannot_be_handed_back_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    celery = new_celery(TaskSettings(broker_url="redis://127.0.0.1:1"))
    qos = celery.connection_for_read().transport.Channel.QoS(Mock(), prefetch_count=1)
    QoS.append(qos, Mock(), "tag")  # as the one for Redis does, when it has written it there
    assert not qos.can_consume()
    monkeypatch.setattr(qos, "restore_by_tag", Mock(side_effect=RedisTimeoutError))

    with pytest.raises(RedisTimeoutError):
        qos.reject("tag", requeue=True)

    assert qos.can_consume()
