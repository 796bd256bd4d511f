"""Faults of compressed answers."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault("app/compression.py", 'f"W/{etag}"', "etag", "another_representation"),
    Fault("app/compression.py", "int(length) < self", "9999 < self", "stream_begins"),
    Fault("app/compression.py", 'scope["method"] != "HEAD"', "True", "what_does_not_pay"),
    Fault("app/compression.py", "not in (206, 304)", "!= 304", "what_does_not_pay"),
    Fault("app/compression.py", '"content-encoding" not in headers', "True", "what_does_not_pay"),
    Fault("app/compression.py", ".startswith(TEXT)", ".strip()", "what_does_not_pay"),
    Fault("app/compression.py", 'weights.get("*", 0.0)) > 0', "1.0) >= 0", "accept_encoding"),
    Fault("app/compression.py", " or not self.settings.level", "", "TestSwitchedOff"),
    Fault(
        "app/wiring/compression.py",
        "settings.level, mtime=0",
        "settings.level",
        "the_bytes_it_sends",
    ),
    Fault("app/compression.py", 'message["status"] == 304', "False", "a_304_varies"),
]
