"""Faults of jobs and their worker."""

from fastperf_new.questions import Answers
from tests.faults.fault import EACH, Databases, Fault

ANSWERS: Answers = {"tasks": "celery"}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/tasks/celery.py",
        "except ValidationError",
        "except KeyError",
        "settings_of_a_part_are_refused",
    ),
    Fault(
        "app/jobs/claims.py",
        "Job.id == job_id, free",
        "Job.id == job_id",
        "claim_is_exclusive",
        EACH,
    ),
    Fault("app/jobs/claims.py", "Job.run_at <= moment", "True", "not_due"),
    Fault("app/jobs/claims.py", "Job.attempts == 0, ", "", "whatever_the_clock"),
    Fault("app/jobs/claims.py", "Job.lease_until < moment", "False", "is_anybodys"),
    Fault("app/jobs/claims.py", "Job.lease_until < moment", "True", "is_anybodys"),
    Fault(
        "app/jobs/claims.py",
        "Job.token == self.token, ",
        "",
        "lost_the_lease or renewed_and_lost",
        EACH,
    ),
    Fault("app/jobs/claims.py", '"published_at": None}', "}", "tried_again_later"),
    Fault("app/jobs/claims.py", "            progress=0.0,\n", "", "begins_anew"),
    Fault(
        "app/jobs/attempt.py",
        "self.session.flush()",
        "self.session.commit()",
        "one_transaction",
        EACH,
    ),
    Fault("app/jobs/attempt.py", "        self._database.commit", "        #", "one_transaction"),
    Fault(
        "app/jobs/attempt.py", "while not ended.wait(lease / 3)", "while False", "lease_is_renewed"
    ),
    Fault("app/jobs/attempt.py", "if monotonic() > self._until", "if False", "takes_too_long"),
    Fault("app/jobs/attempt.py", "raise RuntimeError(", "return print(", "told_while_it_writes"),
    Fault("app/jobs/runner.py", "type(error).__name__", "repr(error)", "tells_no_values"),
    Fault("app/jobs/runner.py", "_random.uniform(0, ", "max(0, ", "do_not_come_back_together"),
    Fault("app/jobs/runner.py", "* 2.0 **", "* 1.0 **", "do_not_come_back_together"),
    Fault(
        "app/jobs/runner.py", "bound, self.settings.backoff_max", "bound, 9e9", "come_back_together"
    ),
    Fault("app/jobs/runner.py", "claim.attempt < kind.attempts", "True", "in_the_end_has_failed"),
    Fault("app/jobs/runner.py", "not error.again", "False", "is_useless"),
    Fault("app/jobs/runner.py", "claim.attempt > kind.attempts", "False", "can_never_run"),
    Fault(
        "app/jobs/runner.py",
        "current_request.set(about)",
        "current_request.set(None)",
        "requests_id",
    ),
    Fault("app/jobs/sweep.py", "        _free(connection, moment)\n", "", "dies_while_it_sweeps"),
    Fault(
        "app/jobs/sweep.py",
        '"lease_until": None, "published_at": None',
        '"lease_until": None',
        "dies_while_it_sweeps",
    ),
    Fault("app/jobs/sweep.py", "found |= {row.id:", "found |= {object():", "two_reasons"),
    Fault("app/jobs/sweep.py", "Job.published_at < moment - patience", "True", "not_what_waits"),
    Fault("app/jobs/sweep.py", "Job.published_at < moment - patience", "False", "not_what_waits"),
    Fault(
        "app/jobs/sweep.py",
        "Job.published_at.is_(None), Job.run_at",
        "Job.run_at",
        "not_what_waits",
    ),
    Fault("app/jobs/sweep.py", "Job.run_at <= moment - GRACE", "True", "not_what_waits"),
    Fault("app/jobs/sweep.py", "Job.lease_until < moment)", "True)", "not_what_waits"),
    Fault("app/jobs/sweep.py", "filter(is_empty, QUEUES)", "()", "queue_is_empty"),
    Fault("app/jobs/sweep.py", "Job.published_at < moment - ON_ITS_WAY", "True", "queue_is_empty"),
    Fault("app/jobs/sweep.py", '(1 + waiting["jobs"] / 1000)', "1", "longer_the_patience"),
    Fault(
        "app/jobs/sweep.py",
        "published.append((job_id, attempts))",
        "published += [(one, number) for one, number, _ in found]",
        "does_not_take_stays",
    ),
    Fault(
        "app/jobs/sweep.py",
        "tuple_(Job.id, Job.attempts).in_(jobs)",
        "True",
        "has_failed_meanwhile",
    ),
    Fault(
        "app/jobs/sweep.py", "list(found.values())[:BATCH]", "[*found.values()]", "a_run_is_bounded"
    ),
    Fault(
        "app/jobs/sweep.py", "Job.finished_at < now()", "Job.id > 0 * now()", "finished_long_ago"
    ),
    Fault("app/database/sync_sqlite.py", "BEGIN IMMEDIATE", "BEGIN", "others_way"),
    Fault(
        "app/jobs/routes.py",
        "raise RequestValidationError(places) from None",
        "raise ProblemError(422, str(error)) from None",
        "not_a_job",
    ),
    Fault("app/jobs/routes.py", " and kind.public", "", "only_where_it_says_so"),
    Fault("app/jobs/routes.py", '_public(row["kind"]) is None', "False", "where_it_says_so"),
    Fault("app/jobs/kinds.py", "public: bool = False", "public: bool = True", "says_so"),
    Fault(
        "app/tasks/publisher.py", "self._line.put_nowait((job", "self._line.put((job", "full_queue"
    ),
    Fault(
        "app/tasks/publisher.py",
        "tell_published(database, [(job_id, 0) for job_id in sent])",
        "pass",
        "handed_over_and_noted",
    ),
    Fault("app/tasks/publisher.py", "monotonic() >= self._try_again", "True", "left_alone"),
    Fault(
        "app/tasks/publisher.py",
        "thread.join(2 * self._settings.publish_timeout + 1)",
        "thread.join()",
        "does_not_hold",
    ),
    Fault("app/tasks/broker_redis.py", '"socket_timeout": timeout, ', "", "as_long_as_it_may"),
    Fault("app/tasks/broker_redis.py", "settings.hard_limit * 2 + 60", "60", "outlives_its_worker"),
    Fault("app/tasks/broker.py", "task_acks_late=True", "task_acks_late=False", "outlives"),
    Fault("app/tasks/embedded.py", "not self._settings.may_embed", "False", "say_so"),
    Fault("app/tasks/celery.py", "requeue=True", "requeue=False", "leaves_the_message"),
    Fault("app/tasks/broker_redis.py", "    QoS = _QoS\n", "", "is_not_answered"),
    Fault("app/tasks/broker_redis.py", "self._quick_ack(", "str(", "its_place_back"),
    Fault("app/tasks/broker_redis.py", '"socket_timeout": TIMEOUT,', "", "is_not_answered"),
    Fault(
        "app/observability/counts.py",
        "with self._lock:\n            self._new",
        "if 1:\n            self._new",
        "another_thread",
    ),
    Fault(
        "app/tasks/embedded.py",
        "except (Exception, SystemExit):",
        "except Exception:",
        "ends_nothing",
    ),
    Fault("app/tasks/embedded.py", "self._sweep(runner)", "pass", "told_of_is_found"),
    Fault(
        "app/tasks/embedded.py", "            runner.run(job_id)", "            pass", "to_its_end"
    ),
    Fault("app/jobs/settings.py", "if None in modules", "if False", "broker_is_refused"),
    Fault("app/url_parameters.py", "if set(", "if 0 and set(", "not_quoted"),
    Fault("app/tasks/liveness.py", "self.runs and ", "", "stands_still"),
    Fault("app/tasks/liveness.py", 'os.environ.get("TASKS_', 'str("" and "', "of_its_own"),
    Fault("app/tasks/parts/metrics.py", "except OSError", "except KeyError", "port_is_taken"),
    Fault("app/tasks/celery.py", "    liveness.watch(app)\n", "", "port_is_taken"),
    Fault("app/tasks/celery.py", "    check_database()\n    live", "    live", "refuses_the_url"),
    Fault("app/tasks/celery.py", " and not judge(error).passes", "", "leaves_the_message"),
    Fault("app/tasks/liveness.py", "loop.runs = True", "pass", "when_the_loop_runs"),
    Fault("app/tasks/liveness.py", "self.timer is not None", "True", "when_the_loop_runs"),
    Fault(
        "app/tasks/exporter.py",
        "func.count(case((_waiting, 1)))",
        "func.count()",
        "queue_is_counted",
    ),
    Fault("app/tasks/exporter.py", ", (_lost, Job.lease_until)", "", "lost_its_worker"),
    Fault("app/items/work.py", 'row["quantity"] >= arguments.minimum', "True", "through_all_items"),
    Fault("app/items/work.py", "last=last, ", "last=0, ", "through_all_items"),
    Fault("app/tasks/broker_redis.py", "if self.connection is None or", "if", "outlives_the_loss"),
    Fault("app/tasks/consumer.py", "interval_max=LONGEST", "interval_max=30", "within_seconds"),
    Fault("app/tasks/consumer.py", 'if "delayed_delivery" not in step', "", "nobody_uses"),
    Fault(
        "app/tasks/broker.py",
        '        worker_consumer="app.tasks.consumer:Consumer",\n',
        "",
        "within_seconds",
    ),
    Fault("app/tasks/broker.py", '"queue": SWEEPS, ', '"queue": "quick", ', "behind_jobs"),
    Fault(
        "migrations/versions/0002_jobs.py",
        'sa.Column("idempotency_digest", sa.String(length=64), nullable=True),',
        "",
        "models_and_migrations_agree",
    ),
    Fault(
        "app/idempotency.py", "if self.value is None", "if True", "has_the_job_of_the_first_time"
    ),
    Fault(
        "app/idempotency.py",
        "if kept.idempotency_digest != row",
        "if not row",
        "comes_with_another",
    ),
    Fault(
        "app/idempotency.py",
        "_digest(client, self.value)",
        "self.value[:64]",
        "each_character",
        ("mysql",),
    ),
    Fault("app/idempotency.py", "> 1 or not all(", "> 9 or not any(", "no_key_is_refused"),
    Fault("app/idempotency.py", "if kept is None:", "if False:", "another_constraint_refuses"),
    Fault("app/idempotency.py", "_digest(client, ", '_digest("", ', "keys_of_its_own"),
    Fault(
        "app/idempotency.py",
        "session.begin_nested()",
        "session.no_autoflush",
        "same_moment",
        ("postgresql",),
    ),
    Fault(
        "app/database/mysql_errors.py", "number == _NOT_THERE", "False", "same_moment", ("mysql",)
    ),
    Fault("app/jobs/outbox.py", "if kept is job", "if True", "the_job_of_the_first_time"),
]
