"""Faults of calls to other services."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {"outbound": True}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault("app/outbound.py", "if len(body) > self._max_bytes", "if False", "too_large_an_answer"),
    Fault("app/outbound.py", "async with places:", "if True:", "no_more_than_that_at_once"),
    Fault(
        "app/outbound.py",
        (
            "async with asyncio.TaskGroup() as group:\n"
            "            tasks = [group.create_task(one(argument)) for argument in arguments]"
        ),
        (
            "tasks = [asyncio.ensure_future(one(argument)) for argument in arguments]\n"
            "        await asyncio.gather(*tasks)"
        ),
        "cancels_the_rest",
    ),
    Fault(
        "app/outbound.py",
        "raise failed.exceptions[0] from None",
        "raise",
        "one_that_fails_cancels_the_rest",
    ),
    Fault("app/outbound.py", "async with self.gate, asyncio", "async with asyncio", "200_requests"),
    Fault("app/outbound.py", ", asyncio.timeout(self._seconds)", "", "comes_in_drops"),
    Fault(
        "app/outbound.py",
        "self.gate = Gate(settings.connections, queue=settings.queue, timeout=settings.pool_timeout)",
        (
            'gates = vars(client).setdefault("gates", [])\n'
            "        gates.append(Gate(settings.connections, queue=500, timeout=9))\n"
            "        self.gate = gates[0]"
        ),
        "takes_none_from_the_others",
    ),
    Fault("app/outbound.py", "queue=settings.queue", "queue=500", "told_to_come_back"),
    Fault(
        "app/outbound.py",
        "self._client.stream(",
        "AsyncClient().stream(",
        "they_are_kept or with_the_next",
    ),
    Fault("app/outbound.py", "DefaultCookiePolicy(allowed_domains=[])", "", "with_the_next"),
    Fault("app/outbound.py", "follow_redirects=False", "follow_redirects=True", "not_followed"),
    Fault(
        "app/outbound.py",
        "self._attempts if method in IDEMPOTENT else 1",
        "self._attempts",
        "a_post_is_not",
    ),
    Fault(
        "app/outbound.py", "if response.status_code == 503 and", "if False and", "a_get_is_tried"
    ),
    Fault("app/outbound.py", "RemoteProtocolError, _Busy", "_Busy", "a_get_is_tried"),
    Fault(
        "app/outbound.py",
        "_PASSING = (",
        "_PASSING = (TimeoutException, ",
        "is_not_asked_again",
    ),
    Fault(
        "app/outbound.py",
        "if response.status_code == 503 and",
        "if response.status_code >= 500 and",
        "may_have_been_done",
    ),
    Fault("app/outbound.py", "accept=(404,), ", "", "a_model_or_nothing"),
    Fault("app/outbound.py", "raise_for_status()", "read()", "one_that_fails_cancels_the_rest"),
    Fault("app/outbound.py", "except ValidationError", "except KeyError", "another_one_is_a_502"),
    Fault("app/outbound.py", "setLevel(logging.WARNING)", "disabled", "no_word_of_what"),
    Fault("app/outbound.py", 'str(entry["loc"])', "str(entry)", "no_word_of_what"),
    Fault(
        "app/outbound.py",
        "raise _BusyUpstreamError",
        "response.raise_for_status()",
        "no_word_of_what or a_get_is_tried",
    ),
    Fault(
        "app/outbound.py", 'f"status {error.response.status_code}"', "str(error)", "no_word_of_what"
    ),
    Fault("app/outbound.py", "ERRORS.add(self.name)", "pass", "cancels_the_rest"),
    Fault(
        "app/observability/context.py", "max(start, last)", "start", "their_time_is_counted_once"
    ),
    Fault(
        "app/items/suppliers.py",
        "    if await queries.get(reads, item_id) is None:\n",
        "    await reads.gate.enter()\n    if False:\n",
        "no_connection_of_the_database",
    ),
    Fault(
        "app/items/suppliers.py",
        "if await queries.get(reads, item_id) is None",
        "if False",
        "item_that_is_not_there",
    ),
]
