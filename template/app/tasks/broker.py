"""The broker: how Celery is to use it, and a connection that gives up quickly."""

from importlib import import_module
from typing import Any

from celery import Celery
from kombu.entity import Exchange
from kombu.entity import Queue as BrokerQueue

from app.jobs.kinds import QUEUES, Queue
from app.jobs.settings import TaskSettings, broker_module

RUN, SWEEP, CLEAN_UP = "jobs.run", "jobs.sweep", "jobs.clean_up"  # the tasks' names
CLEAN_UP_EVERY = 3600.0  # seconds
SWEEPS = "sweeps"  # their queue: behind jobs, each would come too late to be of use


def new_celery(settings: TaskSettings) -> Celery:
    """Return Celery as workers, beat and the service use it.

    The row says what became of a job, so there is no result backend, and a message is no more
    than a hint: it may come twice, late or never.
    """
    broker: Any = import_module(str(broker_module(settings.broker_url)))
    celery = Celery("jobs", set_as_current=False)
    nodes = [broker.split(node) for node in settings.broker_url.split(";")]
    celery.conf.update(
        broker_url=";".join(address for address, _ in nodes),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # Each with a key of its own: by themselves all queues would share the default one's.
        task_queues=[
            BrokerQueue(name, Exchange("jobs"), name, queue_arguments=broker.QUEUE_ARGUMENTS)
            for name in (*QUEUES, SWEEPS)
        ],
        task_default_queue=QUEUES[0],
        task_create_missing_queues=False,
        # Acknowledged when it has run: a worker that dies leaves its message to another one.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_soft_time_limit=settings.soft_limit,
        task_time_limit=settings.hard_limit,
        worker_consumer="app.tasks.consumer:Consumer",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # it waits for as long as it takes
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        # In memory: both may as well begin anew when it is started again.
        beat_scheduler="app.tasks.clock:Clock",
        beat_schedule={
            task: {
                "task": task,
                "schedule": every,
                "options": {"queue": SWEEPS, "expires": expires},
            }
            for task, every, expires in (
                # They pile up while no worker takes them; clocks do not agree to the second.
                (SWEEP, settings.sweep_every, max(60.0, settings.sweep_every)),
                (CLEAN_UP, CLEAN_UP_EVERY, CLEAN_UP_EVERY),
            )
        },
        **broker.options(settings) | nodes[0][1],
    )
    return celery


class Sender:
    """Sends ids of jobs over a connection of its own, which is made when it is needed.

    Args:
        celery: knows where to.
        settings: how long to wait for the broker.
    """

    def __init__(self, celery: Celery, settings: TaskSettings) -> None:
        self._celery = celery
        broker: Any = import_module(str(broker_module(settings.broker_url)))
        self._timeout = settings.publish_timeout
        self._options: dict[str, Any] = broker.impatient(settings.publish_timeout)
        self._connection: Any = None
        self._producer: Any = None
        # Imports what publishing needs, which takes half a second: not with the first job.
        _ = celery.amqp, celery.connection_for_write().transport

    def send(self, job_id: int, queue: Queue) -> None:
        """Publish a job, with one try.

        Raises:
            Exception: of the broker's client, when it did not take it in time.
        """
        try:
            self._connect()
            self._celery.send_task(
                RUN,
                args=[job_id],
                queue=queue,
                producer=self._producer,
                retry=False,
                confirm_timeout=self._timeout,
            )
        except BaseException:
            self.close()
            raise

    def is_empty(self, queue: Queue) -> bool:
        """Tell whether the broker has nothing in a queue; what a worker has taken does not count."""
        try:
            self._connect()
            declared = self._producer.channel.queue_declare(queue, passive=True)
        except Exception as error:
            there_is_none = self._connection is not None and isinstance(
                error, self._connection.channel_errors
            )
            self.close()
            return there_is_none
        return bool(declared.message_count == 0)

    def close(self) -> None:
        """Drop the connection, without a word to a broker that may not listen."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.collect(socket_timeout=0.1)

    def _connect(self) -> None:
        if self._producer is None:
            self._connection = self._celery.connection_for_write(
                connect_timeout=self._timeout, transport_options=self._options
            )
            self._producer = self._celery.amqp.Producer(self._connection.channel())
