"""Faults of ETags and If-Match."""

from fastperf_new.questions import Answers
from tests.faults.fault import Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault("app/etags.py", "b'\"%s\"' % sha256", 'b"%s" % sha256', "strong_and_quoted"),
    Fault("app/etags.py", '"[^"]*+"', '"[^",]*+"', "it_matches"),
    Fault("app/etags.py", r"rb'[ \t]*+(", r"rb'[ \t]*(", "hostile"),
    Fault("app/etags.py", "if required:", "if False:", "require_that_one_is_named"),
    Fault("app/etags.py", "etag_of(body) in named", "named", "version_than_the_one_named"),
    Fault("app/etags.py", 'self.lines == ["*"]', '"*" in self.lines', "version_than_the_one_named"),
    Fault("app/etags.py", "if named.isdisjoint(", "if named or (", "named_in_any_coding"),
    Fault("app/etags.py", "_MEMBER.match(", "_MEMBER.search(", "it_does_not_match"),
]
