"""Each pattern is proven: broken, it fails the test that names it."""

import ast
import io
import re
import shutil
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.questions import Answers
from fastperf_new.render import files
from tests import faults
from tests.conftest import ROOT, Render, RunTests
from tests.faults import CAPABILITIES, cases
from tests.faults.fault import Case
from tests.harness.support import name_of, sampled

MakeUrl = Callable[[object], str]
MakeUrls = Callable[[Answers], dict[str, str]]


@pytest.fixture
def servers_of(database_url: MakeUrl, redis_url: Callable[[str], str]) -> MakeUrls:
    """Return where a project's tests find the servers that it needs, all emptied."""

    def make(answers: Answers) -> dict[str, str]:
        urls = {"TEST_DATABASE_URL": database_url(str(answers.get("database", "sqlite")))}
        if answers.get("cache") == "redis":
            urls["TEST_REDIS_URL"] = redis_url("15")
        return urls

    return make


@pytest.fixture
def copy(rendered: Render, tmp_path: Path) -> Callable[[Answers], Path]:
    """Copy a project's sources: bytecode from before a fault must not stand for what follows it."""

    def make(answers: Answers) -> Path:
        ignore = shutil.ignore_patterns("__pycache__")
        return shutil.copytree(rendered(**answers), tmp_path / "shop", ignore=ignore)

    return make


def files_with(project: Path, names: list[str]) -> list[str]:
    """Return the test files that have these names: to collect all of them takes most of the time."""
    paths = [path for path in files(project) if re.fullmatch(r"tests/(.*/)?test_\w+\.py", path)]
    texts = {path: (project / path).read_text("utf-8").lower() for path in paths}
    return [path for path, text in texts.items() if any(name.lower() in text for name in names)]


SAMPLE = 8  # of the faults in files as they were released one in so many is tried each time

RELEASED, NOW = releases.latest().sources, releases.get(releases.DEVELOPMENT).sources
CHANGED = {path for path, text in NOW.items() if text != RELEASED.get(path)}


def each_time(number: int, case: Case) -> bool:
    """Whether `make test` tries a fault: its file or its proof has changed, or it is a sample."""
    names = case.fault.test.lower().split(" or ")
    proofs = {
        path
        for path in CHANGED
        if path.startswith("tests/") and any(name in NOW[path].lower() for name in names)
    }
    return number % SAMPLE == 0 or case.fault.path in CHANGED or bool(proofs)


@pytest.mark.parametrize("case", sampled(cases(), each_time), ids=lambda case: case.id)
def test_a_broken_pattern_fails_its_proof(
    copy: Callable[[Answers], Path],
    run_tests: RunTests,
    servers_of: MakeUrls,
    case: Case,
) -> None:
    fault = case.fault
    project = copy(case.answers)
    text = (project / fault.path).read_text("utf-8")
    assert fault.old in text
    (project / fault.path).write_text(text.replace(fault.old, fault.new), "utf-8")
    # A broken pattern may make its test hang. That is a failure too, and need not take long.
    waiting = project / "tests/waiting.py"
    quick = waiting.read_text("utf-8").replace("HANG = 30.0", "HANG = 5.0")
    # Logging swallows an Exception, and the test would hang on.
    waiting.write_text(
        quick.replace("        raise TimeoutError", "        raise SystemExit"), "utf-8"
    )

    tests = files_with(project, fault.test.split(" or "))
    done = run_tests(project, "-x", "-k", fault.test, *tests, **servers_of(case.answers))

    failed = re.findall(r"^FAILED (tests/.*?)(?: - |$)", done.stdout, re.MULTILINE)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-5000:]
    names = fault.test.split(" or ")
    assert any(name in one for one in failed for name in names), done.stdout[-5000:]


@pytest.mark.parametrize(
    "answers",
    {name_of(answers): answers for answers in (case.answers for case in cases())}.values(),
    ids=name_of,
)
def test_without_a_fault_the_proofs_pass(
    copy: Callable[[Answers], Path],
    run_tests: RunTests,
    servers_of: MakeUrls,
    answers: Answers,
) -> None:
    """What the faults are tried with tells a project that is whole from a broken one."""
    tests = " or ".join(case.fault.test for case in cases() if case.answers == answers)

    done = run_tests(copy(answers), "-rpfE", "-k", tests, **servers_of(answers))

    assert done.returncode == pytest.ExitCode.OK, done.stdout[-5000:]
    passed = re.findall(r"^PASSED (tests/.*)", done.stdout, re.MULTILINE)
    for name in tests.split(" or "):
        assert any(name in one for one in passed), f"no test {name}"


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.id)
def test_a_fault_breaks_one_place_and_no_comment(case: Case, rendered: Render) -> None:
    """A text that stands twice would leave each of its places alone unproven."""
    fault = case.fault
    plain = ROOT / "template" / fault.path
    file = plain if plain.exists() else rendered(**case.answers) / fault.path
    text = file.read_text("utf-8")

    assert text.count(fault.old) == 1
    if file.suffix == ".py":
        start = text.index(fault.old)
        end = start + len(fault.old)
        assert not [at for at in comments(file) if at.start < end and start < at.stop]
        broken = ast.parse(text.replace(fault.old, fault.new))
        assert ast.dump(broken) != ast.dump(ast.parse(text))


@cache
def comments(file: Path) -> list[range]:
    """Return where the comments of a Python file stand."""
    text = file.read_text("utf-8")
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    return [
        range(lines[token.start[0] - 1] + token.start[1], lines[token.end[0] - 1] + token.end[1])
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]


def test_each_file_of_faults_is_listed() -> None:
    """A file that is not listed would plant nothing."""
    folder = Path(faults.__file__).parent
    written = {file.stem for file in folder.glob("*.py")} - {"__init__", "fault"}

    listed = {str(vars(capability)["__name__"]) for capability in CAPABILITIES}

    assert listed == {f"tests.faults.{name}" for name in written}
