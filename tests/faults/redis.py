"""Faults of the cache in Redis."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {"cache": "redis"}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/caching/redis.py",
        "if self._settling is settling",
        "if True",
        "is_told_that_redis_refused",
    ),
    Fault("app/caching/layer.py", "or self.store.writes", "or 0", "what_began_before_a_write"),
    Fault("app/caching/redis.py", "if made_of != generations", "if False", "seen_by_every_worker"),
    Fault(
        "app/caching/redis.py",
        'lock, token, "NX", "GET"',
        'lock, token, "GET"',
        "one_worker_at_a_time",
    ),
    Fault("app/caching/redis.py", "if holder is not None", "if False", "one_worker_at_a_time"),
    Fault("app/caching/redis.py", 'call("DEL"', 'call("EXISTS"', "cannot_be_told_is_deleted"),
    Fault(
        "app/caching/redis.py",
        "self._renew_later(lock, token, until)\n        return",
        "return",
        "is_renewed",
    ),
    Fault("app/caching/redis.py", "min(LEASE, until", "min(9, until", "worker_that_was_killed"),
    Fault(
        "app/caching/connection.py",
        "self._refused[command] = monotonic() + PAUSE\n\n    def _send",
        "\n    def _send",
        "was_refused_is_left_alone",
    ),
    Fault(
        "app/caching/connection.py",
        'logger.warning("Redis refuses',
        'logger.debug("',
        "was_refused_is_left",
    ),
    Fault(
        "app/caching/connection.py",
        "del self._refused[command]",
        "pass",
        "was_refused_is_left_alone",
    ),
    Fault(
        "app/caching/redis.py",
        "call.add_done_callback(lambda _: self._start(self._give_back({(lock, token)})))",
        "pass",
        "who_leaves_while_asking",
    ),
    Fault(
        "app/caching/redis.py",
        "await asyncio.shield(self._start(self._tell(tags)))",
        "await self._tell(tags)",
        "whose_client_leaves",
    ),
    Fault(
        "app/caching/connection.py",
        "if isinstance(reply, HiredisError)",
        "if False",
        "that_call_alone",
    ),
    Fault(
        "app/caching/connection.py",
        "self._unsent.setdefault(words, []).append(answer)",
        "self._unsent.setdefault(words, []).append(answer)\n        self._send()",
        "is_sent_at_once",
    ),
    Fault("app/caching/connection.py", ">= oldest + self._timeout", "< 0", "falls_silent"),
    Fault("app/caching/layer.py", "fill.token != holder or", "", "one_worker_after_another"),
    Fault("app/caching/connection.py", "if not self.may_try()", "if False", "miss_and_quickly"),
    Fault(
        "app/caching/connection.py",
        "if not answer.done():\n                        ",
        "",
        "who_leaves",
    ),
    Fault("app/caching/connection.py", "(HiredisError, IndexError)", "KeyError", "does_not_speak"),
    Fault("app/caching/connection.py", "except Exception", "except OSError", "nobody_waits"),
    Fault(
        "app/caching/connection.py",
        "        self._link = None\n        if",
        "        if",
        "opened_again",
    ),
    Fault(
        "app/caching/connection.py",
        "asyncio.timeout(self._timeout)",
        "asyncio.timeout(600)",
        "waited_for_once",
    ),
    Fault(
        "app/caching/layer.py",
        "        return fill.found.entry\n",
        "        return None\n",
        "looks_again or between_look_up_and_right",
    ),
    Fault(
        "app/caching/layer.py",
        "if fill.mine and fill.found.entry is None",
        "if fill.mine",
        "between_look_up_and_right",
    ),
    Fault("app/caching/layer.py", "if fill.found.stale", "if False", "beats_a_fill"),
    Fault(
        "app/caching/redis.py",
        "found = await self._found(looked_up, len(tags))",
        "found = Found(None, tuple(None for _ in tags))",
        "next_to_another_is_kept",
    ),
    Fault("app/caching/redis.py", "== ARGV[1] then", "~= '' then", "gives_nothing_back"),
    Fault("app/caching/redis.py", "{RELEASE}:", "code:", "another_release"),
    Fault(
        "app/caching/connection.py", "self._reachable or now >=", "True or 0 >", "miss_and_quickly"
    ),
    Fault("app/caching/redis.py", "self._unsure |= rights", "pass", "gave_unheard"),
    Fault("app/caching/redis.py", "self._not_sure({(lock", "print({(lock", "gave_unheard"),
    Fault("app/caching/redis.py", "self._owed.update(tags)", "pass", "told_once_it_is_back"),
    Fault("app/caching/redis.py", "self._start(self._keep_telling())", "None", "when_nobody_asks"),
    Fault(
        "app/caching/policies.py",
        'scope["path"].removeprefix(scope.get("root_path", ""))',
        'scope["path"]',
        "prefix_that_the_server_knows",
    ),
    Fault(
        "app/hot.py",
        'scope["path"].removeprefix(scope.get("root_path", ""))',
        'scope["path"]',
        "prefix_that_the_server_knows",
    ),
    Fault(
        "app/caching/redis.py",
        "(ValueError, TypeError, AttributeError)",
        "KeyError",
        "no_entry_is_a_miss",
    ),
    Fault(
        "app/caching/redis.py",
        'fill.token, "NX", "GET"',
        'fill.token, "GET"',
        "another_workers_fill",
    ),
    Fault("app/caching/redis.py", "and generation.startswith(FILLED)", "", "another_workers_fill"),
    Fault("app/caching/redis.py", "return generation if", "return fill.token if", "made_at_once"),
    Fault("app/caching/redis.py", "self._redis.try_now()", "pass", "told_as_the_service_stops"),
    Fault("app/caching/redis.py", "repr((url.host, url.port, url.database))", '""', "its_database"),
    Fault("app/caching/redis.py", 'name, kept, "PX", milliseconds', "name, kept", "ends"),
    Fault(
        "app/caching/redis.py",
        'generation, "EX", TAG_SECONDS) for',
        "generation) for",
        "end_by_themselves",
    ),
    Fault("app/caching/connection.py", ", driver_info=DRIVER", "", "answers_find_who_has_asked"),
    Fault(
        "app/caching/connection.py",
        "str(reply).startswith(NOT_NOW)",
        "False",
        "not_to_be_asked_now",
    ),
    Fault(
        "app/caching/connection.py",
        "except (ValueError, TypeError)",
        "except KeyError",
        "cannot_be_sent",
    ),
    Fault(
        "app/caching/connection.py",
        "        self._fail_unsent()\n\n    def _tries",
        "\n    def _tries",
        "is_closed",
    ),
]
