"""Faults of routes, errors, pages, streams and settings."""

from fastperf_new.questions import Answers
from tests.faults.fault import EACH, Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/errors.py",
        "1013 if error.status_code == 503",
        "1000 if False",
        "a_socket_is_closed",
        EACH,
    ),
    Fault("app/pagination.py", "< tuple_(*key)", "<= tuple_(*key)", "met_once", EACH),
    Fault("app/settings.py", "env_ignore_empty=True,", "", "an_empty_variable"),
    Fault("app/settings.py", "str_strip_whitespace=True,", "", "new_line_at_the_end"),
    Fault("app/errors.py", "found[:MAX_ERRORS]", "found", "does_not_grow"),
    Fault("app/streaming.py", "timeout(STALL_SECONDS)", "timeout(None)", "when_nobody_reads_it"),
    Fault(
        "app/streaming.py", "except _StalledError", "except TimeoutError", "rows_that_take_too_long"
    ),
    Fault("app/streaming.py", "rows * BATCH_BYTES", "1000 * BATCH_BYTES", "as_large_in_bytes"),
    Fault("app/streaming.py", "batch = None\n            yield", "yield", "holds_no_rows"),
    Fault("app/errors.py", "part[:MAX_PLACE]", "part", "does_not_grow"),
    Fault(
        "app/settings.py", "hide_input_in_errors=True", "hide_input_in_errors=False", "not_repeated"
    ),
    Fault("app/main.py", "redirect_slashes=False", "redirect_slashes=True", "slash_too_many"),
    Fault("app/main.py", " if guard.docs else None", "", "there_is_none"),
    Fault("app/main.py", 'settings.environment == "development"', "True", "there_is_none"),
    Fault("app/main.py", "if guard.cors_origins:", "if False:", "they_may_call_it"),
    Fault(
        "app/main.py",
        'expose_headers=["ETag", "Location", "Retry-After", "X-Request-ID"],',
        "",
        "it_failed",
    ),
    Fault(
        "app/main.py",
        "    return app\n",
        (
            "    outer = app.user_middleware.pop(0)\n"
            "    app.user_middleware.insert(1, outer)\n"
            "    return app\n"
        ),
        "it_failed",
    ),
    Fault("app/settings.py", "Field(default=0, ge=0, ", "Field(default=0, ", "makes_no_sense"),
    Fault("app/errors.py", 'entry["msg"]', 'entry["input"]', "names_the_field_and_not_its_value"),
    Fault("app/errors.py", " and request.method not in methods", " and False", "a_405_names"),
    Fault("app/errors.py", "if isinstance(error.detail, str)", "if True", "any_http_exception"),
    Fault("app/hot.py", "except ValidationError", "except KeyError", "answer_is_the_same"),
    Fault("app/hot.py", "except HTTPException", "except KeyError", "answer_is_the_same"),
    Fault("app/hot.py", 'b"application/json")', 'b"text/plain")', "answer_is_the_same"),
    Fault("app/hot.py", 'scope["method"] == "GET"', "True", "other_methods"),
    Fault("app/hot.py", "by_alias=True", "by_alias=False", "answer_is_the_same"),
    Fault("app/hot.py", "needs = {", "needs = set() and {", "needs_more"),
    Fault("app/streaming.py", "by_alias=True", "by_alias=False", "each_line_is_a_row"),
    Fault("app/hot.py", "elif name in convertors:", "elif True:", "cannot_do_is_refused"),
    Fault("app/main.py", "    gc.freeze()\n", "", "what_start_up_made"),
    Fault("app/streaming.py", 'b"\\n"', 'b""', "each_line_is_a_row"),
    Fault("app/streaming.py", "await anext(batches, None)", "None", "error_before_the_first_row"),
    Fault("app/fields.py", "ge=1, le=MAX_ID", "", "no_others_are"),
    Fault("app/fields.py", 'pattern=r"^[^\\x00]*$"', "", "with_a_nul_is_refused"),
    Fault(
        "app/pagination.py",
        "limit: int = Field(default=20, ge=1, le=100,",
        "limit: int = Field(default=20,",
        "size_of_a_page",
    ),
    Fault(
        "app/pagination.py",
        "size: int = Field(default=20, ge=1, le=100,",
        "size: int = Field(default=20,",
        "pages_are_bounded",
    ),
    Fault("app/pagination.py", "len(rows) > self.size", "True", "knows_whether_there_is_another"),
    Fault("app/pagination.py", "except (ValueError, OverflowError)", "except KeyError", "refused"),
    Fault("app/pagination.py", "validate=True", "validate=False", "what_is_not_base64"),
    Fault("app/main.py", "    app.add_middleware(Instruments)\n", "", "every_answer_has_an_id"),
    Fault("app/errors.py", 'methods.add("HEAD")', "pass", "a_405_names"),
    Fault(
        "app/main.py",
        "stack.callback(finished_requests.flush)",
        "",
        "last_requests_are_told_of or last_requests_are_counted",
    ),
]
