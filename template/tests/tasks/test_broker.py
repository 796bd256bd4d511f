"""How Celery is set up, and the broker of TEST_BROKER_URL, where there is one."""

import os

import pytest
from pydantic import ValidationError

from app.jobs.kinds import QUEUES
from app.jobs.settings import TaskSettings
from app.tasks.broker import RUN, SWEEPS, Sender, new_celery


def test_a_message_outlives_its_worker(scheme: str) -> None:
    settings = TaskSettings(broker_url=f"{scheme}://")
    conf = new_celery(settings).conf

    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_soft_time_limit < conf.task_time_limit
    visible = conf.broker_transport_options.get("visibility_timeout", float("inf"))
    assert visible > conf.task_time_limit


def test_nothing_is_kept_at_the_broker(scheme: str) -> None:
    conf = new_celery(TaskSettings(broker_url=f"{scheme}://")).conf

    assert conf.result_backend is None
    assert conf.accept_content == ["json"]


def test_a_message_goes_to_one_queue(scheme: str) -> None:
    queues = new_celery(TaskSettings(broker_url=f"{scheme}://")).conf.task_queues

    assert [(queue.name, queue.routing_key) for queue in queues] == [
        (it, it) for it in (*QUEUES, SWEEPS)
    ]


@pytest.mark.parametrize("url", ["memory://", "sqs://", "celery://", "settings://x", "nonsense"])
def test_another_kind_of_broker_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="another kind of broker"):
        TaskSettings(broker_url=url)


@pytest.mark.parametrize("password", ["se/cr3t", "12/cr3t", "se?cr3t", "se#cr3t"])
@pytest.mark.parametrize("before", ["", "{scheme}://app:fine@a;"])
def test_a_url_whose_password_is_not_quoted_is_refused(
    scheme: str, before: str, password: str
) -> None:
    url = f"{before.format(scheme=scheme)}{scheme}://app:{password}@127.0.0.1:1/0"

    with pytest.raises(ValidationError, match="in its password") as refused:
        TaskSettings(broker_url=url)

    assert "cr3t" not in str(refused.value)
    assert TaskSettings(broker_url=url.replace(password, "se%2Fcr3t")).broker_url


def test_a_hard_limit_comes_after_the_soft_one() -> None:
    with pytest.raises(ValidationError, match="TASKS_SOFT_LIMIT must be below"):
        TaskSettings(soft_limit=10, hard_limit=10)


if url := os.environ.get("TEST_BROKER_URL"):

    def test_what_is_sent_is_in_its_queue() -> None:
        settings = TaskSettings(broker_url=url)
        celery = new_celery(settings)
        sender = Sender(celery, settings)
        with celery.connection_for_write() as connection:
            queue = celery.amqp.queues["long"].bind(connection.channel())
            queue.declare()
            queue.purge()
            assert sender.is_empty("long")
            celery.amqp.queues["quick"].bind(connection.channel()).declare()

            sender.send(7, "long")

            message = queue.get()
            assert message.headers["task"] == RUN
            assert message.decode()[0] == [7]
            message.ack()
        assert sender.is_empty("long")
        sender.close()
