"""Faults of what stands before each request: sizes, hosts, headers, deadlines, background work."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault("app/names.py", "if is_json else", "if False else", "or_a_json_list"),
    Fault("app/names.py", "not pattern.fullmatch(name)", "False", "no_request_can_match"),
    Fault("app/names.py", r"(?!https:.*:443\Z|http:.*:80\Z)", "", "no_request_can_match"),
    Fault("app/guard.py", ", min_length=1", "", "no_request_can_match"),
    Fault("app/background.py", "except Exception:", "except KeyError:", "drops_nothing"),
    Fault("app/background.py", "FAILURES.add(name)", "pass", "drops_nothing"),
    Fault(
        "app/background.py",
        "request.seconds = perf_counter() - request.started",
        "pass",
        "its_time_is_not_the_requests",
    ),
    Fault("app/deadline.py", "self._timer.cancel()", "pass", "answer_that_has_begun"),
    Fault("app/deadline.py", "return self.is_over and", "return", "client_that_leaves"),
    Fault("app/guard.py", "            tell_of_thread(scope)\n", "", "a_thread_goes_on"),
    Fault("app/deadline.py", "if route not in _told:", "if True:", "a_thread_goes_on"),
    Fault("app/deadline.py", "self.is_over = self._task.cancel()", "pass", "a_late_request"),
    Fault("app/guard.py", "if length > self.limits.size", "if False", "refused_unread"),
    Fault("app/guard.py", "_LENGTH.fullmatch(value)", "True", "content_length_that_is_no_number"),
    Fault("app/guard.py", "if length < 0", "if False", "content_length_that_is_no_number"),
    Fault("app/guard.py", "_CONTROL.search(path)", "False", "control_characters"),
    Fault("app/guard.py", " and _CONTROL.search(path)", "", "any_other_character"),
    Fault("app/guard.py", 'b"json" in value.lower()', "False", "json_body_of_many_values"),
    Fault(
        "app/guard.py", 'is_json = b"json" in value.lower()', "is_json = True", "json_body_of_many"
    ),
    Fault("app/guard.py", "body.release()", "pass", "all_bodies_together"),
    Fault("app/guard.py", "if body.is_late", "if False", "stays_away_is_a_408"),
    Fault("app/guard.py", "if body.is_late", "if True", "stays_away_is_a_504"),
    Fault("app/body.py", "if self.size > limits.size", "if False", "its_size_is_counted"),
    Fault("app/body.py", "limits.held > AT_ONCE", "limits.held > 99", "all_bodies_together"),
    Fault("app/body.py", "self.size > SMALL and ", "", "all_bodies_together"),
    Fault("app/body.py", 'b"".join(self._parts)', "part", "body_in_parts"),
    Fault("app/body.py", 'if b"\\0" in body:', "if False:", "in_any_encoding"),
    Fault("app/body.py", "|\\\\.", "|\\\\", "values_of_a_json_body"),
    Fault("app/body.py", "if match.lastindex", "if match", "values_of_a_json_body"),
    Fault(
        "app/guard.py",
        "self.domains = tuple(name[1:]",
        "self.domains = tuple(name[2:]",
        "known_hosts",
    ),
    Fault("app/guard.py", "if len(hosts) != 1", "if not hosts", "two_hosts"),
    Fault("app/guard.py", "path.startswith(PROBES)", "False", "probes_come"),
    Fault("app/guard.py", "path in BY_ADDRESS", "path.startswith(tuple(BY_ADDRESS))", "by_address"),
    Fault("app/guard.py", ".removeprefix(scope", ".strip() or (scope", "BelowARoot"),
    Fault("app/guard.py", "if path not in PAGES", "if True", "documentation_may_load"),
    Fault(
        "app/guard.py",
        "WebSocketClose() if refusal",
        "WebSocketClose() if None",
        "known_hosts_only",
    ),
    Fault("app/guard.py", " and _NAME.fullmatch(name) is not None", "", "known_hosts_are_answered"),
    Fault("app/guard.py", ", NO_SNIFFING]", "]", "answers_are_data"),
    Fault("app/guard.py", "if name == POLICY", "if False", "policy_is_the_only_one"),
    Fault("app/guard.py", "else NO_FRAMES", "else NO_SNIFFING", "not_be_framed"),
    Fault("app/guard.py", 'if scope["method"] == "HEAD"', "if False", "head_is_get"),
    Fault("app/guard.py", 'if "HEAD" in methods_of', 'if "NONE" in methods_of', "head_is_get"),
    Fault(
        "app/guard.py", 'scope.update({**inner, "method": "HEAD"})', "pass", "a_head_ends_a_stream"
    ),
    Fault("app/guard.py", "response.raw_headers += [", "[", "answer_to_a_preflight"),
    Fault("app/guard.py", '"websocket.http.response.start"', '""', "instead_of_a_socket"),
]
