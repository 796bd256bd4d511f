"""Faults of connections and their limits."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/connection.py",
        "_received > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS",
        "_received > MAX_HEADER_BYTES",
        "headers_are_limited",
    ),
    Fault(
        "app/connection.py",
        "size > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS",
        "size > MAX_HEADER_BYTES",
        "headers_are_limited",
    ),
    Fault("app/connection.py", "size > MAX_HEADER_BYTES", "False", "headers_are_limited"),
    Fault("app/connection.py", "len(self.url) + ", "", "a_url_counts"),
    Fault(
        "app/connection.py",
        "if self._received > MAX_HEADER_BYTES and not self.transport.is_closing():",
        "if False:",
        "headers_that_never_end or headers_after_a_body",
    ),
    Fault(
        "app/connection.py",
        "        self._received = 0\n        super().on_body",
        "        super().on_body",
        "a_body_is_no_header",
    ),
    Fault(
        "app/connection.py", "len(self.pipeline) >= MAX_PIPELINED", "False", "wait_for_an_answer"
    ),
    Fault("app/connection.py", "if self._timer is None and (", "if False and (", "does_not_end"),
    Fault(
        "app/connection.py", "            self._timer.cancel()\n", "", "waits_for_its_next_request"
    ),
    Fault(
        "app/connection.py",
        'self._end("slow reader")\n        else',
        "pass\n        else",
        "does_not_read",
    ),
    Fault(
        "app/connection.py",
        'self._end("slow reader")\n        super()',
        "pass\n        super()",
        "leaves_its_answer_unread",
    ),
    Fault(
        "app/connection.py",
        "            self._watch()\n",
        '            self._end("")\n',
        "reads_slowly",
    ),
    Fault(
        "app/connection.py", "if len(self.connections) > cls.limit", "if False", "takes_the_place"
    ),
    Fault("app/connection.py", "if waiting:", "if False:", "takes_the_place"),
    Fault("app/connection.py", "min(waiting", "max(waiting", "takes_the_place"),
    Fault(
        "app/connection.py", "min(limit, files - OTHER_FILES)", "limit", "below_that_of_open_files"
    ),
    Fault(
        "app/connection.py", "monotonic() - Connection.logged > LOG_SECONDS", "True", "now_and_then"
    ),
    Fault("app/connection.py", "(NO_SNIFFING, NO_CONTENT, (b", "(*(), (b", "own_answers_are_data"),
    Fault(
        "app/connection.py",
        "self.transport.write(_INVALID)",
        "super().send_400_response(msg)",
        "own_answers_are_data",
    ),
]
