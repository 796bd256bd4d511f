"""Faults of the cache of answers, conditional requests and memoized functions."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/caching/conditional.py",
        'return b"W/" + etag_of',
        "return etag_of",
        "a_version_is_weak",
    ),
    Fault(
        "app/caching/conditional.py",
        "repr(parts)",
        '"".join(map(str, parts))',
        "different_versions",
    ),
    Fault(
        "app/caching/conditional.py",
        'tag.removeprefix(b"W/") == wanted',
        "tag == wanted",
        "it_matches",
    ),
    Fault(
        "app/caching/conditional.py",
        'lines[0].strip() == b"*"',
        'b"*" in lines[0]',
        "does_not_match",
    ),
    Fault(
        "app/caching/conditional.py", "len(lines) == 1 and", "lines and", "star_among_other_lines"
    ),
    Fault(
        "app/caching/conditional.py",
        "    for line in lines:",
        '    for line in [b",".join(lines)]:',
        "go_on_in_the_next",
    ),
    Fault(
        "app/caching/conditional.py",
        "    for line in lines:",
        "    for line in lines[:1]:",
        "several_lines",
    ),
    Fault(
        "app/caching/conditional.py",
        "if name in REPEATED",
        'if name != b"content-type"',
        "a_cache_goes_by",
    ),
    Fault(
        "app/caching/conditional.py",
        'b"etag", b"expires"',
        'b"etag", b"set-cookie"',
        "a_cache_goes_by",
    ),
    Fault(
        "app/caching/conditional.py",
        "tag if tag is not None and",
        "value if",
        "that_the_client_holds",
    ),
    Fault(
        "app/caching/conditional.py",
        'not in ("GET", "HEAD")',
        'not in ("GET", "HEAD", "POST")',
        "another_method",
    ),
    Fault("app/caching/conditional.py", 'not in ("GET", "HEAD")', '!= "GET"', "at_no_expense"),
    Fault(
        "app/caching/conditional.py",
        "headers.setdefault(",
        "headers.__setitem__(",
        "declare_its_own",
    ),
    Fault(
        "app/caching/conditional.py",
        '", ".join(kept.getlist(name))',
        "kept[name]",
        "headers_of_the_200",
    ),
    Fault(
        "app/caching/conditional.py",
        "not_modified_headers(headers.raw)",
        "headers.raw",
        "headers_of_the_200",
    ),
    Fault("app/caching/memo.py", "self._flights[key] = flight", "pass", "fifty_concurrent"),
    Fault("app/caching/memo.py", "monotonic() < kept[0]", "True", "then_renewed"),
    Fault("app/caching/memo.py", "monotonic() < kept[0]", "kept[1]", "none_is_a_value"),
    Fault(
        "app/caching/memo.py", "tuple(sorted(kwargs.items())) if kwargs else ()", "()", "told_apart"
    ),
    Fault(
        "app/caching/memo.py",
        "asyncio.shield(flight.task)",
        "flight.task",
        "does_not_take_the_others",
    ),
    Fault("app/caching/memo.py", "if not flight.callers and", "if False and", "when_all_callers"),
    Fault(
        "app/caching/memo.py",
        "self._flights.get(key) is flight",
        "self._flights.get(key) is not None",
        "while_a_cancelled_call",
    ),
    Fault(
        "app/caching/memo.py",
        "                self._leave(key, flight)\n",
        "",
        "while_a_cancelled_call",
    ),
    Fault("app/caching/memo.py", "if not current or", "if", "before_it_was_forgotten"),
    Fault(
        "app/caching/memo.py",
        "        self._flights.pop(key, None)\n",
        "",
        "before_it_was_forgotten",
    ),
    Fault(
        "app/caching/memo.py",
        "self._values.move_to_end(key)\n            return",
        "return",
        "not_asked_for_longest",
    ),
    Fault("app/caching/memo.py", "> self._maxsize", "> 9999", "memory_is_bounded"),
    Fault(
        "app/caching/memo.py",
        "if loop is not self._loop",
        "if self._loop is None",
        "another_event_loop",
    ),
    Fault("app/caching/memo.py", " or task.exception() is not None", "", "for_those_who_wait"),
    Fault("app/caching/layer.py", "return key, credentials", "return key, False", "credentials"),
    Fault("app/caching/layer.py", "digest([key, repr(user)])", "key", "two_users"),
    Fault(
        "app/caching/layer.py", '("GET", "HEAD")', '("GET", "HEAD", "POST")', "other_methods_pass"
    ),
    Fault("app/caching/answers.py", 'if start["status"] not in', "if 0 in", "must_not_be_kept"),
    Fault(
        "app/caching/answers.py", 'case b"set-cookie":', 'case b"no-cookie":', "must_not_be_kept"
    ),
    Fault(
        "app/caching/policies.py", "or self.encodes(coding)", "or coding", "where_they_are_encoded"
    ),
    Fault(
        "app/caching/layer.py",
        "(known if len(header) < SHORT else encodes)",
        "known",
        "where_they_are_enc",
    ),
    Fault("app/caching/answers.py", "[*entry.headers]", "entry.headers", "layer_adds"),
    Fault("app/caching/answers.py", "if pair[0] not in CONDITIONS", "", "taken_for_the_whole"),
    Fault("app/caching/answers.py", 'b"no-store" in value.lower()', "False", "must_not_be_kept"),
    Fault(
        "app/caching/answers.py",
        "return not self._route.has_in_key(",
        "return not (",
        "must_not_be_kept",
    ),
    Fault("app/caching/answers.py", " and len(body) <= self._limit", "", "must_not_be_kept"),
    Fault("app/caching/answers.py", 'not message.get("more_body") and ', "", "taken_for_the_whole"),
    Fault("app/caching/answers.py", '"method": "GET", "headers"', '"headers"', "a_head_is_a_get"),
    Fault("app/caching/answers.py", '{**scope, "method": "GET"} if', "scope if", "heads_at_once"),
    Fault(
        "app/caching/answers.py",
        "if path_template(self._scope) != self._route.path",
        "if 0",
        "another_routes",
    ),
    Fault("app/caching/answers.py", "await self._made(None)", "pass", "keeps_nobody_waiting"),
    Fault(
        "app/caching/layer.py",
        "await send_entry(entry, scope, send, age=False)",
        "pass",
        "when_it_is_whole",
    ),
    Fault("app/caching/layer.py", "age=not route.policy.max_age", "age=True", "count_from_now"),
    Fault("app/startup.py", 'if scope["type"] == "lifespan"', "if False", "does_not_start_then"),
    Fault(
        "app/caching/layer.py",
        "except HTTPException",
        "except KeyError",
        "user_function_may_refuse",
    ),
    Fault(
        "app/caching/layer.py",
        "(key, found.generations or self.store.writes)",
        "key",
        "beats_a_fill",
    ),
    Fault("app/caching/answers.py", "headers.append((b", "id((b", "an_answer_is_made_once"),
    Fault("app/caching/flights.py", "if name in self._flights", "if False", "50_misses"),
    Fault("app/caching/flights.py", "future.cancel()", "future.set_result(None)", "leaves"),
    Fault("app/caching/flights.py", "timeout=seconds", "timeout=None", "waits_for_ever"),
    Fault("app/caching/policies.py", " if one[0] in self._query", "", "named_query_and"),
    Fault("app/caching/policies.py", "named.sort(key=_name)", "pass", "named_query_and"),
    Fault("app/caching/answers.py", ', "query_string": query', "", "no_more_of_the_query"),
    Fault(
        "app/caching/policies.py",
        "(annotation, *get_args(annotation))",
        "(annotation,)",
        "may_be_left_out",
    ),
    Fault(
        "app/caching/policies.py",
        "return str(value).lower()",
        "return str(value)",
        "choices_and_switches",
    ),
    Fault("app/caching/policies.py", "str(len(values)), ", "", "however_many"),
    Fault(
        "app/caching/policies.py",
        "(dashes and (by_name or validators))",
        "False",
        "depends_on_more",
    ),
    Fault("app/caching/policies.py", "if needed.own_oauth_scopes", "if False", "depends_on_more"),
    Fault("app/caching/policies.py", ' or "+" in query', "", "as_fastapi_reads_it"),
    Fault("app/caching/policies.py", " if part)", ")", "as_fastapi_reads_it"),
    Fault("app/caching/policies.py", "if len(path) + len(query) < SHORT", "if True", "long_words"),
    Fault(
        "app/caching/policies.py",
        "if errors or _written(value) != text",
        "if errors",
        "as_the_route_reads_it",
    ),
    Fault("app/caching/policies.py", "info.validation_alias or ", "", "depends_on_more"),
    Fault(
        "app/caching/policies.py", 'if config.get("extra") == "allow" or', "if", "depends_on_more"
    ),
    Fault(
        "app/caching/policies.py",
        "if dependant.background_tasks_param_name",
        "if False",
        "depends_on_more",
    ),
    Fault(
        "app/caching/policies.py",
        "_names(dependant.query_params) - self._query",
        "()",
        "depends_on_more",
    ),
    Fault("app/caching/policies.py", "headers - {*self.policy.headers}", "()", "depends_on_more"),
    Fault("app/caching/policies.py", "_names(dependant.cookie_params)", "()", "depends_on_more"),
    Fault("app/caching/policies.py", "if whole and", "if not whole and", "depends_on_more"),
    Fault("app/caching/policies.py", "if needed.call not in known", "if False", "depends_on_more"),
    Fault(
        "app/caching/policies.py",
        "isinstance(needed.call, SecurityBase)",
        "True",
        "depends_on_more",
    ),
    Fault("app/caching/policies.py", "uniform(0.9, 1)", "1", "does_not_end_at_once"),
    Fault("app/caching/memory.py", "if made < changed", "if False", "its_tags_stale"),
    Fault("app/caching/memory.py", "if time() >= ", "if 0 >= ", "an_entry_ends"),
    Fault("app/caching/memory.py", "if len(self._changed) > MAX_TAGS", "if False", "for_ever"),
    Fault("app/caching/memory.py", "self._forgotten = self.writes", "pass", "for_ever"),
    Fault("app/caching/memory.py", "or 1) > 1:", "or 1) > 9:", "what_that_means"),
    Fault(
        "app/caching/memory.py", " is not None and not reloads", " is not None", "what_that_means"
    ),
    Fault(
        "app/caching/memory.py", "parent_process() is not None and", "False and", "what_that_means"
    ),
    Fault(
        "app/caching/invalidation.py", "changed.update(", "changed.isdisjoint(", "change_is_seen"
    ),
    Fault("app/caching/invalidation.py", "if not state.is_select", "if False", "bulk_statement"),
    Fault("app/database/writes.py", "await call(given)", "pass", "change_is_seen"),
    Fault(
        "app/database/writes.py",
        "                session.info[_COMMITTED] = True",
        "",
        "hears_of_every_commit",
    ),
    Fault(
        "app/database/writes.py",
        "if not session.in_nested_transaction()",
        "if True",
        "hears_of_every_commit",
    ),
    Fault(
        "app/database/writes.py",
        'event.listen(self.sessions, "after_commit", _note_commit)',
        "",
        "hears_of_every_commit",
    ),
    Fault(
        "app/caching/memory.py",
        "self._entries.get(key, (0, None))[0] <= made",
        "True",
        "newer_entrys",
    ),
    Fault("app/caching/memory.py", " + HEADER * len(entry.headers)", "", "headers_are_counted"),
    Fault("app/items/cache.py", '["items", f"item:{changed.id}"]', '["items"]', "change_is"),
    Fault("app/caching/cache.py", 'rglob("cache.py")', 'rglob("no.py")', "second_answer_costs"),
    Fault(
        "app/caching/layer.py", "self.encodes = _remembered(encodes)", "pass", "vary_by_encoding"
    ),
    Fault(
        "app/caching/layer.py",
        '("route", "fastapi", "endpoint")',
        '("route", "fastapi")',
        "routing_found",
    ),
    Fault("app/caching/policies.py", 'frozenset({b"age", ', "frozenset({", "or_its_connection"),
    Fault("app/caching/policies.py", 'b"connection", ', "", "or_its_connection"),
]
