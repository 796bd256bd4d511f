"""Faults of logs, request IDs, timings and tracebacks."""

from fastperf_new.questions import Answers
from tests.faults.fault import EACH, Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/observability/tracebacks.py",
        'partition(" Original',
        'partition("no Original',
        "session_that_goes_on",
        EACH,
    ),
    Fault(
        "app/observability/tracebacks.py",
        '"" if values and text is None else text',
        "text",
        "led_to_such_a_value",
        EACH,
    ),
    Fault(
        "app/observability/tracebacks.py",
        "(told.__context__, error.__context__),",
        "",
        "what_came_of_it",
        EACH,
    ),
    Fault(
        "app/observability/tracebacks.py", "told.exceptions or ()", "()", "what_came_of_it", EACH
    ),
    Fault(
        "app/observability/tracebacks.py",
        'vars(part)["_str"] = text',
        "pass",
        "names_its_constraint_and_no_value",
        EACH,
    ),
    Fault(
        "app/observability/context.py",
        "self.seconds or perf_counter()",
        "perf_counter()",
        "its_time_is_not_the_requests",
    ),
    Fault("app/observability/tracebacks.py", 'str(entry["loc"])', "str(entry)", "was_not_valid"),
    Fault(
        "app/observability/context.py",
        'path is None or "app_root_path" not in scope',
        "True",
        "whole_template",
    ),
    Fault("app/observability/context.py", "{mount.path}", "/{root}", "clients_choose"),
    Fault("app/observability/context.py", " or isinstance(route, Mount)", "", "clients_choose"),
    Fault(
        "app/observability/context.py",
        'context") or route',
        'context") and route',
        "whole_template",
    ),
    Fault("app/observability/context.py", "max(start, last)", "start", "run_at_once"),
    Fault("app/observability/context.py", "if start < last:", "if False:", "run_at_once"),
    Fault("app/observability/context.py", "by_name.get(name, 0.0) +", "", "one_after_the_other"),
    Fault(
        "app/observability/context.py",
        "if len(self.spans) == MAX_SPANS",
        "if False",
        "no_more_memory",
    ),
    Fault("app/observability/instruments.py", "(took - total)", "took", "add_up"),
    Fault("app/observability/instruments.py", "request.status = 500", "pass", "stream_that_fails"),
    Fault(
        "app/observability/logs.py",
        '"route": request.route}',
        '"route": None}',
        "with_its_route_and_request",
    ),
    Fault("app/observability/profiling.py", "HTMLResponse(page)", "HTMLResponse('')", "time_goes"),
    Fault(
        "app/observability/instruments.py",
        '(b"connection", b"close")',
        '(b"x", b"")',
        "not_ready_but",
    ),
    Fault(
        "app/observability/output.py", "os.O_WRONLY | os.O_NONBLOCK", "os.O_WRONLY", "never_waits"
    ),
    Fault("app/observability/output.py", ", socket.MSG_DONTWAIT", "", "never_waits"),
    Fault("app/observability/output.py", "DROPPED.add(number=lines)", "pass", "never_waits"),
    Fault(
        "app/observability/output.py",
        "except BlockingIOError:\n            return",
        "except KeyError: pass",
        "reader_leaves",
    ),
    Fault(
        "app/observability/logs.py",
        "StreamHandler(standard_error())",
        "StreamHandler()",
        "for_others",
    ),
    Fault(
        "app/observability/logs.py", "self.handleError(record)", "raise", "takes_nothing_with_it"
    ),
    Fault(
        "app/observability/instruments.py", "if _ACCEPTED_ID.fullmatch(given)", "if given", "forge"
    ),
    Fault(
        "app/observability/context.py",
        'scope["path"],',
        'scope["path"] + str(scope["query_string"]),',
        "without_its_query",
    ),
    Fault(
        "app/observability/instruments.py",
        "response = ProblemResponse(500)",
        "raise\n            response = ProblemResponse(500)",
        "broken",
    ),
    Fault(
        "app/observability/instruments.py",
        "response.raw_headers += [NO_SNIFFING, NO_CONTENT]",
        "pass",
        "an_unexpected_error",
    ),
    Fault("app/observability/logs.py", '{"request_id": request.id, ', "{", "one_line_of_json"),
    Fault("app/observability/logs.py", 'str(path).partition("?")[0]', "path", "without_its_query"),
    Fault("app/observability/logs.py", "{value!r}", "{value}", "text_format"),
    Fault(
        "app/observability/logs.py",
        "if not isinstance(record, RequestRecord)",
        "if True",
        "before_what_comes_after",
    ),
    Fault(
        "app/observability/finished.py", "call_later(BATCH_SECONDS", "call_later(9", "told_of_soon"
    ),
    Fault("app/observability/finished.py", "if batch is self._batch", "if batch", "do_not_wait"),
    Fault(
        "app/observability/finished.py", "if len(batch) >= MAX_BATCH", "if not batch", "do_not_wait"
    ),
    Fault(
        "app/observability/counts.py",
        "new, self._new = self._new, Counter()",
        "new = self._new",
        "over_once",
    ),
    Fault(
        "app/observability/instruments.py",
        "{next(self._numbers):010x}",
        "{0:010x}",
        "has_another_id",
    ),
    Fault("app/observability/logs.py", "except ValueError:", "except KeyError:", "is_no_utf_8"),
    Fault(
        "app/observability/logs.py",
        '("uvicorn.access").disabled = True',
        '("uvicorn.access")',
        "no_requests_of_its_own",
    ),
    Fault(
        "app/observability/profiling.py", "[NO_SNIFFING, NO_FRAMES]", "[]", "where_the_time_goes"
    ),
]
