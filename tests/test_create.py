"""A new project is made whole or not at all, whatever fails, and nobody else's work is touched."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest

from fastperf_new import create, git, install, releases, stopping
from fastperf_new.errors import Exit, RefusedError
from fastperf_new.questions import Answers
from fastperf_new.releases import Release
from fastperf_new.render import files
from tests.conftest import Render
from tests.harness.support import FASTPERF, Project, fastperf, next_commands
from tests.test_update import at_mutations

NO_SPACE = OSError(28, "No space left on device")
QUICK = ("--yes", "--no-install")
NOBODY = 65534
TEMPORARY = "/fastperf-"  # in the names of temporary files

Act = Callable[[], None]
Maker = Callable[[Release, Answers, Path], None]
Outcome = dict[str, Any]


# --- places ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A folder with other people's work, and a destination in it."""

    world: Path
    folder: Path
    part_of: str = ""  # the repository that a project becomes a part of

    def others(self) -> dict[str, bytes | None]:
        """Return everything in the world that is not of the new project; None for folders."""
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in sorted(self.world.rglob("*"))
            if self.folder not in (path, *path.parents)
            and not any(parent in self.hidden() for parent in (path, *path.parents))
        }

    def hidden(self) -> list[Path]:
        """Return the hidden folders, beside the destination or in it."""
        found = [*self.folder.parent.glob(".shop.*"), *self.folder.glob(".shop.*")]
        return [path for path in found if path.suffix == ".fastperf"]

    def project(self) -> dict[str, bytes]:
        """Return the files of the new project."""
        return {
            path: (self.folder / path).read_bytes()
            for path in files(self.folder)
            if not path.startswith(".git/") and path != ".git"
        }


def repository(folder: Path) -> Project:
    project = Project(folder)
    project.write("precious.txt", "precious\n")
    project.write(".gitignore", "/ignored/\n")
    project.git("init", "-q")
    project.commit()
    return project


def own(world: Path) -> Place:
    (world / "notes.txt").write_text("mine\n")
    return Place(world, world / "deep/er/shop")


def monorepo(world: Path) -> Place:
    mono = repository(world / "mono")
    mono.write("untracked.txt", "mine\n")
    return Place(world, mono.folder / "services/shop", part_of=str(mono.folder))


def ignored(world: Path) -> Place:
    return Place(world, repository(world / "mono").folder / "ignored/shop")


def worktree(world: Path) -> Place:
    repository(world / "main").git("worktree", "add", "-q", str(world / "linked"))
    return Place(world, world / "linked/shop", part_of=str(world / "linked"))


def empty(world: Path) -> Place:
    (world / "shop").mkdir()
    return Place(world, world / "shop")


def fresh(world: Path) -> Place:
    Project(empty(world).folder).git("init", "-q")
    return Place(world, world / "shop")


ASKED = [own, monorepo, worktree]
EXISTING = [empty, fresh]
Where = Callable[[Path], Place]


@pytest.fixture
def make_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Where], Place]:
    """Make a place; temporary files are in its world too."""

    def make(where: Where) -> Place:
        world = tmp_path.resolve() / "world"
        (world / "tmp").mkdir(parents=True)
        monkeypatch.setattr(tempfile, "tempdir", str(world / "tmp"))
        # By paths, not by descriptors, which would lead out of a copy of the world.
        monkeypatch.setattr(shutil, "_use_fd_functions", False)
        return where(world)

    return make


@pytest.fixture(scope="session")
def small(rendered: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some files of a project, which are as good as all to see how they are put into place."""
    folder = tmp_path_factory.mktemp("small") / "shop"
    full = rendered(preset="minimal")
    for path in (".copier-answers.yml", ".gitignore", "README.md", "app/main.py", "app/errors.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(full / path, folder / path)
    return folder


def copied(project: Path) -> Maker:
    """Return a render that copies one made before."""

    def copy(_release: Release, _answers: Answers, folder: Path) -> None:
        shutil.copytree(project, folder)

    return copy


# --- running in forks -----------------------------------------------------------------------


def run_new(place: Place, maker: Maker | None, prepare: Act = lambda: None) -> Outcome:
    """Make a project in a fork of this process, and return what became of it.

    Args:
        maker: what renders it; None for Copier.
        prepare: called in the fork before, to bring faults in.
    """
    if (fork := os.fork()) == 0:
        try:
            report(place, outcome_of(place, maker, prepare))
        finally:
            os._exit(0)
    return outcome_from(place, fork)


def outcome_of(place: Place, maker: Maker | None, prepare: Act) -> Outcome:
    release = releases.get(releases.versions()[-1])
    answers = release.questionnaire.complete({"name": "shop", "preset": "minimal"})
    if maker:
        vars(create)["render"] = maker
    try:
        prepare()
        done = create.new(place.folder, release, answers, with_git=True, with_install=False)
    except RefusedError as error:
        return {"is": "refused", "says": str(error), "exit": int(error.exit)}
    except stopping.Stopped as stop:
        return {"is": "stopped", "says": stop.message, "exit": stop.exit}
    except BaseException:
        return {"is": "crashed", "says": traceback.format_exc(), "exit": -1}
    return {
        **{"is": "created", "says": " ".join(done.warnings), "exit": done.stopped},
        **{"part_of": done.part_of, "first_commit": done.first_commit},
    }


def report(place: Place, outcome: Outcome, name: str = "outcome") -> None:
    """Append a line to a file beside the world, in a way that `at_mutations` does not see."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    descriptor = os.open(place.world.with_name(name), flags, 0o600)
    os.write(descriptor, json.dumps(outcome).encode() + b"\n")
    os.close(descriptor)


def outcome_from(place: Place, fork: int) -> Outcome:
    """Wait for a fork, and return what it reported last."""
    os.waitpid(fork, 0)
    path = place.world.with_name("outcome")
    outcome = json.loads(path.read_text("utf-8").splitlines()[-1])
    path.unlink()
    assert outcome["is"] != "crashed", outcome["says"]
    return dict(outcome)


def copy_in(world: Path) -> None:
    """Put a copy of the world, by links, in its place."""
    world.rename(world.with_name("aside"))
    shutil.copytree(world.with_name("aside"), world, symlinks=True, copy_function=os.link)


def copy_out(world: Path) -> None:
    """Put the world itself back."""
    shutil.rmtree(world)
    world.with_name("aside").rename(world)


def at_each_mutation(
    place: Place, fault: Act, check: Callable[[Outcome], None], every: int = 1
) -> Act:
    """Return what brings a fault in before each mutation, in a fork that has a copy of the world.

    Args:
        every: 2 for every second mutation, and so on.
    """
    owner = 0  # the one process that forks

    def act(number: int) -> None:
        nonlocal owner
        owner = owner or os.getpid()
        if os.getpid() != owner or number % every:
            return
        copy_in(place.world)
        if (fork := os.fork()) == 0:
            fault()
            return
        check(outcome_from(place, fork))
        copy_out(place.world)
        report(place, {}, "points")

    return lambda: at_mutations(place.world, act)


def points(place: Place) -> int:
    return len(place.world.with_name("points").read_text("utf-8").splitlines())


def fail() -> None:
    raise NO_SPACE


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


# --- all or nothing -------------------------------------------------------------------------


def check_whole_or_nothing(
    place: Place, outcome: Outcome, whole: dict[str, bytes], before: dict[str, bytes | None]
) -> None:
    """Require a whole project or none, other people's work as it was, and no hidden folder."""
    others = place.others()
    # What a failing removal leaves is named; temporary files are not looked for by anybody.
    left = {path for path in others.keys() - before.keys() if TEMPORARY not in path}
    assert {path: others[path] for path in before} == before
    assert not left or outcome["is"] == "created", (left, outcome)
    for folder in place.hidden():
        assert str(folder) in outcome["says"]
    if outcome["is"] == "created":
        assert place.project() == whole, outcome
        assert outcome["part_of"] == place.part_of
        assert (place.folder / ".git").exists() == (not place.part_of)
    elif place.folder.exists() and not place.hidden():
        assert place.project() == {}, outcome


def entries(place: Place) -> list[str]:
    """Return what is at the destination, but for hidden folders and a `.git`."""
    if not place.folder.exists():
        return ["no destination"]
    hidden = {path.name for path in place.hidden()}
    return sorted(set(os.listdir(place.folder)) - hidden - {".git"})


@pytest.mark.parametrize("where", [*ASKED, *EXISTING])
def test_a_full_disk_at_any_write_leaves_nothing(
    make_place: Callable[[Where], Place], small: Path, where: Where
) -> None:
    place = make_place(where)
    before, at_first = place.others(), entries(place)
    whole = project_of(small)

    def check(outcome: Outcome) -> None:
        check_whole_or_nothing(place, outcome, whole, before)
        if outcome["is"] == "refused":
            assert "No space left on device" in outcome["says"]
            assert outcome["exit"] == Exit.FAILED
            assert entries(place) == at_first
            if not place.hidden():
                assert run_new(place, copied(small))["is"] == "created"

    outcome = run_new(place, copied(small), at_each_mutation(place, fail, check))

    assert outcome["is"] == "created"
    assert points(place) >= 10
    check_whole_or_nothing(place, outcome, whole, before)


def test_a_full_disk_in_a_render_leaves_nothing(make_place: Callable[[Where], Place]) -> None:
    """Copier itself, at some of its hundreds of writes."""
    place = make_place(own)
    before = place.others()

    def check(outcome: Outcome) -> None:
        assert outcome["is"] == "refused" or place.folder.exists()
        if outcome["is"] == "refused":
            assert "No space left on device" in outcome["says"]
            assert place.others().keys() - before.keys() <= {
                path for path in place.others() if TEMPORARY in path
            }
            assert not place.folder.exists()

    outcome = run_new(place, None, at_each_mutation(place, fail, check, every=16))

    assert outcome["is"] == "created"
    assert points(place) > 20


@pytest.mark.parametrize("where", [*ASKED, *EXISTING])
def test_a_signal_at_any_write_leaves_nothing_or_a_whole_project(
    make_place: Callable[[Where], Place], small: Path, where: Where
) -> None:
    place = make_place(where)
    before, at_first = place.others(), entries(place)
    whole = project_of(small)

    def check(outcome: Outcome) -> None:
        check_whole_or_nothing(place, outcome, whole, before)
        assert outcome["is"] in ("created", "stopped")
        assert outcome["exit"] == 128 + signal.SIGTERM
        assert not place.hidden()
        if outcome["is"] == "stopped":
            assert outcome["says"] == "Stopped: nothing was made."
            assert entries(place) == at_first
            assert place.others() == before
        elif not place.part_of:
            assert "New project" in Project(place.folder).git("log", "--format=%s")

    def prepare() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stopping.listen()
        at_each_mutation(place, stop, check)()

    assert run_new(place, copied(small), prepare)["is"] == "created"
    assert points(place) >= 10


def stopping_after(function: Callable[..., Any], number: int, calls: list[str]) -> Any:
    """Return what sends a signal to this process when a function has been called so often."""

    def called(*words: Any, **more: Any) -> Any:
        done = function(*words, **more)
        calls.append(str(words))
        if len(calls) == number:
            stop()
        return done

    return called


@pytest.mark.parametrize("where", [*ASKED, *EXISTING])
def test_a_signal_just_after_a_write_leaves_nothing_or_a_whole_project(
    make_place: Callable[[Where], Place], small: Path, where: Where
) -> None:
    """What was made is known before the signal is."""
    place = make_place(where)
    before, at_first = place.others(), entries(place)
    whole = project_of(small)
    number = 0

    def prepare() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stopping.listen()
        calls: list[str] = []
        for name in ("mkdir", "rename"):
            vars(os)[name] = stopping_after(vars(os)[name], number, calls)

    outcomes: list[tuple[str, int]] = []
    while ("created", 0) not in outcomes:  # then there were fewer writes
        number += 1
        copy_in(place.world)
        outcome = run_new(place, copied(small), prepare)
        check_whole_or_nothing(place, outcome, whole, before)
        assert not place.hidden()
        if outcome["is"] == "stopped":
            assert (place.others(), entries(place)) == (before, at_first)
        outcomes.append((outcome["is"], outcome["exit"]))
        copy_out(place.world)

    assert outcomes[0] == ("stopped", 128 + signal.SIGTERM)
    # The last of them puts the project into place.
    assert where in EXISTING or outcomes[-2] == ("created", 128 + signal.SIGTERM)
    assert outcomes[-1] == ("created", 0)
    assert len(outcomes) >= 4


@pytest.mark.parametrize("where", [own, fresh])
def test_a_signal_does_not_interrupt_the_cleaning_up(
    make_place: Callable[[Where], Place], small: Path, where: Where
) -> None:
    place = make_place(where)
    before, at_first = place.others(), entries(place)

    def failing(_release: Release, _answers: Answers, folder: Path) -> None:
        shutil.copytree(small, folder)
        raise NO_SPACE

    def check(outcome: Outcome) -> None:
        assert outcome["is"] == "stopped"
        assert (place.others(), entries(place), place.hidden()) == (before, at_first, [])

    def prepare() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stopping.listen()
        at_each_mutation(place, stop, check)()

    assert run_new(place, failing, prepare)["is"] == "refused"
    assert points(place) >= 15


@pytest.mark.parametrize("where", [*ASKED, *EXISTING])
def test_a_kill_anywhere_leaves_at_most_a_hidden_folder(
    make_place: Callable[[Where], Place], small: Path, where: Where
) -> None:
    """A copy of the world before a write, or beside a git, is what a kill would leave there."""
    place = make_place(where)
    before, at_first = place.others(), entries(place)
    whole = project_of(small)
    looking = False

    def killed(_: int) -> None:
        nonlocal looking
        if looking:  # it and its forks write too
            return
        looking = True
        copy_in(place.world)
        assert place.others().items() >= before.items()
        assert len(place.hidden()) <= 1
        now, hidden = entries(place), bool(place.hidden())
        complete = place.folder.exists() and place.project() == whole
        in_the_way = complete or (where in EXISTING and hidden)
        assert in_the_way or now == at_first
        second = run_new(place, copied(small))
        if in_the_way:
            assert second["is"] == "refused"
            assert "is not empty: " in second["says"]
            assert second["exit"] == Exit.NOT_READY
            assert entries(place) == now
        else:
            assert second["is"] == "created"
            assert place.project() == whole
        copy_out(place.world)
        report(place, {}, "points")
        looking = False

    def prepare() -> None:
        start = git._start

        def beside(words: list[str], **more: Any) -> Any:
            killed(0)
            done = start(words, **more)
            killed(0)
            return done

        git._start = beside
        at_mutations(place.world, killed)

    assert run_new(place, copied(small), prepare)["is"] == "created"
    assert points(place) >= 16


def project_of(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in files(folder)}


# --- git ------------------------------------------------------------------------------------


def failing_git(number: int, code: int, calls: list[str]) -> Act:
    """Return what makes the call of git with a number fail, without an answer or a message."""
    start = git._start

    def failing(words: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
        calls.append(" ".join(words))
        if len(calls) == number:
            return subprocess.CompletedProcess(words, code, b"", b"")
        return start(words, **more)

    def prepare() -> None:
        git._start = failing

    return prepare


@pytest.mark.parametrize("code", [1, 128, -9])
@pytest.mark.parametrize("where", [*ASKED, ignored, *EXISTING])
def test_a_git_that_fails_is_never_an_answer(
    make_place: Callable[[Where], Place], small: Path, where: Where, code: int
) -> None:
    place = make_place(where)
    before, at_first = place.others(), entries(place)
    whole = project_of(small)
    kinds = []
    for number in range(1, 20):
        copy_in(place.world)
        calls: list[str] = []
        outcome = run_new(place, copied(small), failing_git(number, code, calls))
        check_whole_or_nothing(place, outcome, whole, before)
        kinds.append((outcome["is"], bool(outcome["says"])))
        if outcome["is"] == "refused":
            assert "git" in outcome["says"]
            assert outcome["exit"] == Exit.FAILED
            assert (entries(place), place.others()) == (at_first, before)
            assert run_new(place, copied(small))["is"] == "created"
        elif outcome["says"]:
            assert outcome["says"].startswith("There is no first commit: git ")
            assert outcome["first_commit"]
        elif not place.part_of:
            assert "New project" in Project(place.folder).git("log", "--format=%s")
        copy_out(place.world)
        if not outcome["says"]:
            break  # that call was not made

    assert kinds[-1] == ("created", False)
    refused, warned = kinds.count(("refused", True)), kinds.count(("created", True))
    expected: dict[Where, int] = {own: 3, monorepo: 3, worktree: 3, ignored: 4, empty: 3, fresh: 3}
    assert (refused, warned) == (expected[where], 0 if place.part_of else 3)


def test_a_pattern_for_folders_and_one_taken_back_count(
    make_place: Callable[[Where], Place], small: Path
) -> None:
    for patterns, part in (
        ("shop/\n", False),
        ("services/*\n!services/shop\n", True),
        ("services/*\n!services/**\n", True),
    ):
        place = make_place(monorepo)
        (place.world / "mono/.gitignore").write_text(patterns)

        outcome = run_new(place, copied(small))

        assert outcome["is"] == "created"
        assert bool(outcome["part_of"]) == part
        assert (place.folder / ".git").exists() != part
        shutil.rmtree(place.world)


def broken_link(folder: Path) -> None:
    (folder / ".git").write_text("gitdir: /nowhere\n")


def no_repository(folder: Path) -> None:
    (folder / ".git").mkdir()


def staged(folder: Path) -> None:
    project = Project(folder)
    project.git("init", "-q")
    project.write("mine.txt", "mine\n")
    project.git("add", "mine.txt")
    (folder / "mine.txt").unlink()


def committed(folder: Path) -> None:
    staged(folder)
    Project(folder).git("commit", "-q", "-m", "mine")


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (broken_link, (Exit.FAILED, "not a git repository: /nowhere: mend that, or add --no-git.")),
        (no_repository, (Exit.NOT_READY, ".git is not a repository: remove it")),
        (staged, (Exit.NOT_READY, "has staged files: commit or unstage them")),
    ],
)
@pytest.mark.parametrize("where", [empty, lambda world: empty(repository(world).folder)])
def test_a_repository_that_is_not_fresh_is_left_alone(
    make_place: Callable[[Where], Place],
    small: Path,
    where: Where,
    spoil: Callable[[Path], None],
    refusal: tuple[Exit, str],
) -> None:
    code, sentence = refusal
    place = make_place(where)
    spoil(place.folder)
    before = Project(place.folder).snapshot()

    outcome = run_new(place, copied(small))

    assert (outcome["is"], outcome["exit"]) == ("refused", code)
    assert sentence in outcome["says"]
    assert Project(place.folder).snapshot() == before


def test_a_repository_with_commits_gets_none(
    make_place: Callable[[Where], Place], small: Path
) -> None:
    place = make_place(empty)
    committed(place.folder)

    outcome = run_new(place, copied(small))

    assert (outcome["is"], outcome["part_of"]) == ("created", str(place.folder))
    assert Project(place.folder).git("log", "--format=%s") == "mine\n"


@pytest.mark.parametrize("where", [own, empty])
def test_what_comes_meanwhile_is_not_overwritten(
    make_place: Callable[[Where], Place], small: Path, where: Where
) -> None:
    place = make_place(where)

    def meanwhile(_release: Release, _answers: Answers, folder: Path) -> None:
        shutil.copytree(small, folder)
        place.folder.mkdir(exist_ok=True)
        (place.folder / "README.md").write_text("theirs\n")

    outcome = run_new(place, meanwhile)

    assert (outcome["is"], outcome["exit"]) == ("refused", Exit.NOT_READY)
    assert place.project() == {"README.md": b"theirs\n"}
    assert not place.hidden()


# --- disks and permissions ------------------------------------------------------------------


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


@pytest.mark.parametrize("kind", ["link", "tmpfs", "bind"])
def test_a_destination_on_another_disk_is_a_fine_place(
    tmp_path: Path, small: Path, kind: str
) -> None:
    """Without root no mount can be made: then each kind is a link to another disk."""
    folder = tmp_path / "shop"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if kind == "link" or os.geteuid() != 0:
            assert os.stat(other).st_dev != tmp_path.stat().st_dev
            folder.symlink_to(other)
        else:
            folder.mkdir()
            (tmp_path / "bound").mkdir()
            mount(
                *(["-t", "tmpfs", "tmpfs"] if kind == "tmpfs" else ["--bind", tmp_path / "bound"]),
                folder,
            )
        try:
            outcome = run_new(Place(tmp_path / "world", folder), copied(small))

            assert outcome["is"] == "created", outcome
            assert Place(tmp_path, folder).project() == project_of(small)
            assert Project(folder).git("status", "--porcelain") == ""
            assert not Place(tmp_path, folder).hidden()
        finally:
            if not folder.is_symlink():
                subprocess.run(["umount", folder], check=True)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody can reach."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve()


def without_privileges(place: Place) -> Act:
    """Return what makes a process one of an ordinary user, as it is where the tests have no root."""

    def prepare() -> None:
        author = {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x.invalid"}
        committer = {"GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x.invalid"}
        os.environ |= {**author, **committer, "GIT_CONFIG_GLOBAL": os.devnull}
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        assert not os.access(place.folder.parent, os.W_OK)

    return prepare


@pytest.mark.parametrize("exists", [True, False])
def test_below_a_folder_that_is_not_writable(public: Path, small: Path, exists: bool) -> None:
    shutil.copytree(small, public / "small")
    parent = public / "parent"
    folder = parent / "shop"
    folder.mkdir(parents=True)
    (public / "world").mkdir()
    public.chmod(0o777)  # for what the fork reports
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    if not exists:
        folder.rmdir()
    parent.chmod(0o555)
    place = Place(public / "world", folder)
    try:
        outcome = run_new(place, copied(public / "small"), without_privileges(place))
        if exists:
            assert outcome["is"] == "created", outcome
            assert place.project() == project_of(small)
            assert not outcome["says"]
        else:
            assert (outcome["is"], outcome["exit"]) == ("refused", Exit.NOT_READY)
            assert outcome["says"].startswith(f"{folder} cannot be made: Permission denied")
            assert list(parent.iterdir()) == []
    finally:
        parent.chmod(0o755)


# --- as people type it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["new", "shop", *QUICK], ["status"], ["update"], ["change", "ci=none"]]
)
def test_a_deleted_current_folder_is_one_sentence(tmp_path: Path, words: list[str]) -> None:
    line = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", FASTPERF, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == Exit.NOT_READY
    assert done.stderr == "error: The current folder is gone: change to another one first.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_broken_configuration_of_git_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[user\n")
    environment = {"GIT_CONFIG_GLOBAL": str(tmp_path / "config")}
    words = ("new", "shop", *QUICK, "--release", releases.versions()[-1])

    done = fastperf(*words, cwd=tmp_path, env=environment)
    left = [path.name for path in tmp_path.iterdir()]
    without = fastperf(*words, "--no-git", cwd=tmp_path, env=environment)

    assert done.returncode == Exit.FAILED
    assert done.stderr.startswith(
        "error: Nothing was made, because git version failed: fatal: bad "
    )
    assert done.stderr.endswith(f"{tmp_path}/config: mend that, or add --no-git.\n")
    assert done.stderr.count("\n") == 1
    assert left == ["config"]
    assert without.returncode == Exit.DONE, without.stderr


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_git_that_is_too_old_is_one_sentence(tmp_path: Path) -> None:
    program(tmp_path / "bin/git", "echo git version 2.27.1")
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    words = ("new", "shop", *QUICK, "--release", releases.versions()[-1])

    done = fastperf(*words, cwd=tmp_path, env={"PATH": path})

    assert done.returncode == Exit.NOT_READY
    assert "git 2.27.1 is too old: fastperf needs 2.28 or newer." in done.stderr
    assert not (tmp_path / "shop").exists()


def test_a_project_of_the_working_tree_comes_with_a_warning(tmp_path: Path) -> None:
    newest = releases.versions()[-1]
    told = [
        fastperf(
            "new",
            version,
            *QUICK,
            "--no-git",
            "--release",
            version,
            "-d",
            "name=shop",
            cwd=tmp_path,
        )
        for version in (releases.DEVELOPMENT, newest)
    ]

    assert [done.returncode for done in told] == [Exit.DONE, Exit.DONE]
    assert told[0].stderr.startswith("warning: This project can never be updated")
    assert f"add --release {newest} for one that can." in told[0].stderr
    assert told[0].stderr.count("\n") == 1
    assert told[1].stderr == ""


def ended(pid: int) -> bool:
    """Whether a process is no more, or only waits for its exit code to be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must happen; the limit is for what never does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slow_uv(tmp_path: Path) -> Path:
    """A folder with a uv that never ends, and writes its id and that of its child."""
    sleeping = "sleep 600 & echo $! $$ > ../pids.new; mv ../pids.new ../pids; wait"
    return program(tmp_path / "bin/uv", sleeping).parent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_installation_leaves_a_whole_project(
    tmp_path: Path, slow_uv: Path, number: signal.Signals
) -> None:
    words: list[str | Path] = [FASTPERF, "new", "shop", "--yes"]
    with subprocess.Popen(
        [*words, "--release", releases.versions()[-1]],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{slow_uv}:{os.environ['PATH']}", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        until((tmp_path / "pids").exists)
        started.send_signal(number)
        printed, complaints = started.communicate()

    assert started.returncode == 128 + number
    assert "\nInstalling the dependencies...\nCreated " in printed
    assert complaints == ("warning: The dependencies are not installed: uv sync was stopped.\n")
    assert next_commands(printed)[:2] == ["cd shop", "uv sync"]
    shop = Project(tmp_path / "shop")
    assert shop.git("log", "--format=%s").startswith("New project from fastperf-new ")
    assert shop.git("status", "--porcelain") == ""
    for pid in (tmp_path / "pids").read_text().split():
        until(lambda pid=pid: ended(int(pid)))  # type: ignore[misc]


def test_a_uv_that_has_just_started_ends_too(
    tmp_path: Path, slow_uv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop").mkdir()
    monkeypatch.setenv("PATH", f"{slow_uv}:{os.environ['PATH']}")
    if (fork := os.fork()) == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        stopping.listen()
        start = subprocess.Popen.__init__

        def started(*words: Any, **more: Any) -> None:
            start(*words, **more)
            until((tmp_path / "pids").exists)
            stop()

        vars(subprocess)["Popen"] = type("Popen", (subprocess.Popen,), {"__init__": started})
        try:
            install.sync(tmp_path / "shop")
        except stopping.Stopped:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 7
    for pid in (tmp_path / "pids").read_text().split():
        until(lambda pid=pid: ended(int(pid)))  # type: ignore[misc]


def test_a_signal_does_not_interrupt_the_first_commit(tmp_path: Path) -> None:
    """A git does what Ctrl-C at a terminal does to the group of the command."""
    signals = "kill -INT -$PPID; kill -TERM -$PPID; kill -HUP -$PPID; sleep 0.1"
    commits = f'case "$*" in *" commit "*) touch {tmp_path}/tried; {signals} ;; esac'
    program(tmp_path / "bin/git", f'{commits}\nexec {shutil.which("git")} "$@"')
    words: list[str | Path] = [FASTPERF, "new", "shop", *QUICK]

    done = subprocess.run(
        [*words, "--release", releases.versions()[-1]],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )

    assert (tmp_path / "tried").exists()
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    assert "Next:" in done.stdout
    assert "New project" in Project(tmp_path / "shop").git("log", "--format=%s")


def test_a_signal_at_a_question_makes_nothing(tmp_path: Path) -> None:
    child = pexpect.spawn(str(FASTPERF), ["new"], cwd=str(tmp_path), encoding="utf-8", timeout=60)
    child.expect("Name of the project")
    child.kill(signal.SIGTERM)
    child.expect("Stopped: nothing was made.")
    child.expect(pexpect.EOF)
    child.wait()

    assert child.exitstatus == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
