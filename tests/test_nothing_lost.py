"""An update is applied whole or not at all, and loses no work, whatever fails or runs beside it."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fastperf_new import apply, journal
from fastperf_new.answers import FILE
from fastperf_new.errors import Exit, NotReadyError
from tests.harness import small as tools
from tests.harness.small import ADDED, BROKEN, CHANGED, DONE, KILLED, PLACES, REFUSED, Small
from tests.harness.support import Project, fastperf, sampled

NO_SPACE = OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the disk: no test here cuts the power, and there are a thousand updates."""
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(params=PLACES)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Small:
    return tools.make(tmp_path / "first", request.param)


@pytest.fixture
def own(tmp_path: Path) -> Small:
    return tools.make(tmp_path / "first", "own")


def test_the_update_has_every_kind_of_change(small: Small, tmp_path: Path) -> None:
    others = small.others()

    tools.run_update(small, tmp_path / "renders")

    status = {line[3:]: line[:2] for line in small.git("status", "--porcelain", ".").splitlines()}
    kinds = {path.split("services/shop/")[-1]: kind for path, kind in status.items()}
    assert kinds[CHANGED] == "M "
    assert kinds[tools.CONFLICT] == "UU"
    assert kinds["app/gone.py"] == "D "
    assert (kinds["docs"], kinds["docs/index.md"]) == ("D ", "A ")
    assert (small.project / "old").is_file()
    assert (small.project / "app/main.py").read_text().startswith("# mine\n")
    assert os.access(small.project / "deploy/run", os.X_OK)
    assert not (small.repo().git_dir / "fastperf").exists()
    assert small.others() == others


# --- git fails ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sampled([1, 128, -signal.SIGKILL]), ids=["one", "fatal", "killed"])
def test_each_git_call_may_fail(
    small: Small, tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is never taken for an answer; what can be undone is, and there is a way on."""
    before, others = small.state(), small.others()
    small.git("tag", "last")
    renders = tmp_path / "renders"
    after = None
    points = 0
    while True:
        copy = small.copy(tmp_path / "copy")
        failed = tmp_path / "failed"
        failed.unlink(missing_ok=True)

        def act(
            number: int, wanted: int = points, failed: Path = failed
        ) -> subprocess.CompletedProcess[bytes] | None:
            if number != wanted:
                return None
            failed.touch()
            return subprocess.CompletedProcess([], code, b"", b"")

        def work(copy: Small = copy, act: Callable[[int], object] = act) -> None:
            with monkeypatch.context() as patch:
                tools.at_git_calls(patch, act)  # type: ignore[arg-type]
                tools.run_update(copy, renders)

        ended = tools.in_child(work)
        assert ended != BROKEN, f"call {points}"
        if not failed.exists():
            after = copy.state()
            break
        assert copy.others() == others, f"call {points}"
        if ended == DONE:  # only what is said about it was missing
            assert not journal.is_there(copy.repo())
        else:
            if journal.is_there(copy.repo()):  # its way back failed too
                apply.undo(copy.repo())
            assert copy.state() == before, f"call {points}"
            assert copy.git("rev-parse", "HEAD") == copy.git("rev-parse", "last")
        points += 1
    assert points > 25
    assert after != before


# --- killed, and a full disk ------------------------------------------------------------------


@pytest.mark.parametrize("finish", [apply.resume, apply.undo], ids=["continue", "abort"])
def test_killed_at_each_write_it_is_finished_or_taken_back(
    small: Small, tmp_path: Path, finish: Callable[..., None]
) -> None:
    before = small.state()
    whole = small.copy(tmp_path / "whole")
    tools.run_update(whole, tmp_path / "renders")
    after = whole.state()
    expected = after if finish is apply.resume else before
    folder = small.copy(tmp_path / "copy")
    log = tmp_path / "log"

    def act(number: int) -> None:
        killed = folder.copy(tmp_path / "killed")
        repo = killed.repo()
        unfinished = journal.is_there(repo)
        if unfinished:
            finish(repo)
        assert killed.state() in ([expected] if unfinished else [before, after]), number
        assert not journal.is_there(repo)
        assert not (repo.git_dir / "index.lock").exists() or not unfinished
        with log.open("a") as lines:
            lines.write("unfinished\n" if unfinished else "whole\n")

    def work() -> None:
        tools.at_mutations(folder.top, act)
        tools.run_update(folder, tmp_path / "renders")

    assert tools.in_child(work) == DONE
    assert folder.state() == after
    assert log.read_text().count("unfinished") > 40


def test_a_full_disk_at_each_write_takes_everything_back(small: Small, tmp_path: Path) -> None:
    before, others = small.state(), small.others()
    points = 0
    while True:
        copy = small.copy(tmp_path / "copy")
        failed = tmp_path / "failed"
        failed.unlink(missing_ok=True)

        def act(number: int, wanted: int = points, failed: Path = failed) -> None:
            if number == wanted:
                failed.touch()
                raise NO_SPACE

        def work(copy: Small = copy, act: Callable[[int], None] = act) -> None:
            tools.at_mutations(copy.top, act)
            tools.run_update(copy, tmp_path / "renders")

        ended = tools.in_child(work)
        if not failed.exists():
            break
        if ended == BROKEN:  # an error of the system before anything began, one sentence in cli.py
            assert points == 0
        if journal.is_there(copy.repo()):  # all is in, but for tidying up
            apply.resume(copy.repo())
        elif ended != DONE:
            assert copy.state() == before, f"write {points}"
        assert copy.others() == others
        assert not (copy.repo().git_dir / "index.lock").exists()
        points += 1
    assert points > 60


# --- somebody works beside it ---------------------------------------------------------------

MINE = "# saved meanwhile\n"


def save_in_place(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MINE)


def save_by_rename(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name("saved.tmp")
    beside.write_text(MINE)
    beside.replace(path)


def each_point(
    own: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[Small], None],
    check: Callable[[Small, int], None],
) -> int:
    """Do something at each write and at each git call of an update; return how many there are."""
    points = 0
    for at in ("writes", "git calls"):
        number = 0
        while True:
            copy = own.copy(tmp_path / "copy")
            acted = tmp_path / "acted"
            acted.unlink(missing_ok=True)

            def act(
                reached: int, copy: Small = copy, wanted: int = number, acted: Path = acted
            ) -> None:
                if reached == wanted:
                    acted.touch()
                    meanwhile(copy)

            def work(copy: Small = copy, at: str = at, act: Callable[[int], None] = act) -> None:
                with monkeypatch.context() as patch:
                    if at == "writes":
                        tools.at_mutations(copy.top, act)
                    else:
                        tools.at_git_calls(patch, act)
                    tools.run_update(copy, tmp_path / "renders")

            ended = tools.in_child(work)
            if not acted.exists():
                break
            assert ended in (DONE, REFUSED), f"{at} {number}"
            assert not journal.is_there(copy.repo()), f"{at} {number}"
            check(copy, ended)
            number += 1
        points += number
    return points


@pytest.mark.parametrize(
    ("path", "save"),
    sampled(
        [
            (CHANGED, save_in_place),
            (CHANGED, save_by_rename),
            (ADDED, save_by_rename),
            (tools.CONFLICT, save_in_place),
            ("app/gone.py", save_in_place),
        ]
    ),
)
def test_what_an_editor_saves_meanwhile_is_never_lost(
    own: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    save: Callable[[Path], None],
) -> None:
    files, _ = own.state()

    def check(copy: Small, ended: int) -> None:
        assert (copy.project / path).read_text() == MINE
        if ended == REFUSED:
            rest = {name: state for name, state in copy.state()[0].items() if name != path}
            assert rest == {name: state for name, state in files.items() if name != path}

    points = each_point(own, tmp_path, monkeypatch, lambda copy: save(copy.project / path), check)
    assert points > 80


def stage_a_file(copy: Small) -> None:
    (copy.project / "notes.txt").write_text(MINE)
    copy.git("add", "notes.txt")


def commit_a_file(copy: Small) -> None:
    stage_a_file(copy)
    copy.git("commit", "-q", "-m", "notes", "notes.txt")


def stage_an_edit(copy: Small) -> None:
    (copy.project / CHANGED).write_text(MINE)
    copy.git("add", CHANGED)


@pytest.mark.parametrize("meanwhile", sampled([stage_a_file, commit_a_file, stage_an_edit]))
def test_what_a_second_git_does_meanwhile_is_never_undone(
    own: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[Small], None],
) -> None:
    path = CHANGED if meanwhile is stage_an_edit else "notes.txt"

    def git_beside(copy: Small) -> None:
        try:
            meanwhile(copy)
        except subprocess.CalledProcessError:  # our lock on the index: it refuses, for an instant
            (tmp_path / "refused").touch()

    def check(copy: Small, ended: int) -> None:
        assert (copy.project / path).read_text() == MINE
        if (tmp_path / "refused").exists():
            (tmp_path / "refused").unlink()
        elif meanwhile is commit_a_file:
            assert copy.git("show", "HEAD:notes.txt") == MINE
        else:
            assert copy.git("show", f":{path}") == MINE
        if ended == REFUSED:
            assert (copy.project / "app/gone.py").exists()

    assert each_point(own, tmp_path, monkeypatch, git_beside, check) > 80


# --- after an interruption ------------------------------------------------------------------


def halfway(own: Small, tmp_path: Path) -> Small:
    """Return a project whose update was killed as half of its files were written."""
    for number in range(200):
        copy = own.copy(tmp_path / "halfway")

        def work(copy: Small = copy, wanted: int = number) -> None:
            tools.at_mutations(
                copy.top, lambda reached: os._exit(KILLED) if reached == wanted else None
            )
            tools.run_update(copy, tmp_path / "renders")

        assert tools.in_child(work) == KILLED
        changed = copy.state()[0].items() ^ own.state()[0].items()
        if journal.is_there(copy.repo()) and len(changed) > 6 and (copy.project / ADDED).exists():
            return copy
    raise AssertionError


def test_after_a_reset_and_a_commit_updates_work_again(own: Small, tmp_path: Path) -> None:
    for more in ("add -A", "stash -u", "clean -fdq"):
        project = halfway(own, tmp_path)
        project.git("reset", "-q", "--hard")
        project.git(*more.split())
        project.git("commit", "-q", "--allow-empty", "-m", "work goes on")

        assert not apply.unfinished(project.repo())
        if more == "add -A":  # with what lay there, which is in the way now
            project.git("reset", "-q", "--hard", "HEAD^")
        tools.run_update(project, tmp_path / "renders")
        assert (project.project / FILE).read_text() == "_commit: v2\n"


def test_an_interrupted_update_can_be_aborted_after_a_commit(own: Small, tmp_path: Path) -> None:
    project = halfway(own, tmp_path)
    project.git("checkout", "-q", ".")
    (project.project / "feature.py").write_text(MINE)
    project.git("add", "feature.py")
    project.git("commit", "-q", "-m", "feature")

    apply.undo(project.repo())

    assert project.git("status", "--porcelain") == ""
    assert (project.project / "feature.py").read_text() == MINE
    tools.run_update(project, tmp_path / "renders")


def test_a_damaged_journal_is_put_aside_once_the_project_is_clean(
    own: Small, tmp_path: Path
) -> None:
    good = (halfway(own, tmp_path).project / ".git/fastperf/journal").read_bytes()
    for damage in (b"", b"{}", b"\xff\0", good[:-9], good.replace(b"app/", b"../", 1), good[65:]):
        project = halfway(own, tmp_path)
        (project.project / ".git/fastperf/journal").write_bytes(damage)
        for finish in (apply.resume, apply.undo, apply.check_finished):
            with pytest.raises(NotReadyError, match="is damaged") as refused:
                finish(project.repo())
        # The way on is the one that it names.
        found = re.findall(r"git (?:reset|stash)[^,]*?:/", str(refused.value))
        for command in " ".join(found).replace(" and ", " ").split("git ")[1:]:
            project.git(*shlex.split(command))

        tools.run_update(project, tmp_path / "renders")

        assert list((project.project / ".git").glob("fastperf.aside-*"))


def test_a_journal_of_somebody_else_never_leads_outside(own: Small, tmp_path: Path) -> None:
    """A checksum keeps nobody out who writes a journal on purpose."""
    outside = tmp_path / "outside.txt"
    for path in (
        "../outside.txt",
        str(outside),
        ".git/config",
        ".GIT/config",
        "a/../../b",
        "./x",
        1,
    ):
        repo = own.repo()
        step = journal.Step(path, "", "- 0", [], [])  # type: ignore[arg-type]
        journal.make_folders(repo)
        journal.write(repo, journal.Journal("", [step]))
        (own.project / "dirty").touch()

        for finish in (apply.resume, apply.undo):
            with pytest.raises(NotReadyError, match="is damaged"):
                finish(repo)
        journal.forget(repo)
    assert not outside.exists()


def test_nothing_is_removed_that_is_not_marked_as_ours(own: Small, tmp_path: Path) -> None:
    folder = own.project / ".git/fastperf"
    folder.mkdir()
    (folder / "precious").write_text("mine")

    with pytest.raises(NotReadyError, match="is in the way of the update: move it"):
        tools.run_update(own, tmp_path / "renders")

    assert (folder / "precious").read_text() == "mine"
    folder.rename(tmp_path / "elsewhere")
    tools.run_update(own, tmp_path / "renders")


def test_a_cloned_bare_repository_is_not_worked_in(tmp_path: Path) -> None:
    """A folder of a clone that looks like a repository could name programs, and files elsewhere."""
    evil = tmp_path / "clone/evil"
    subprocess.run(["git", "init", "-q", "--bare", evil], check=True)
    (tmp_path / "victim").mkdir()
    for key, value in {
        "core.bare": "false",
        "core.worktree": str(tmp_path / "victim"),
        "core.fsmonitor": f"touch {tmp_path}/ran; false",
    }.items():
        subprocess.run(["git", "config", "--file", evil / "config", key, value], check=True)
    Project(evil).write(
        FILE, "_commit: v0.1.0\n_src_path: https://fastperf-new.invalid/template.git\nname: x\n"
    )

    for words in (
        ["update"],
        ["update", "--continue"],
        ["update", "--abort"],
        ["change", "ci=none"],
    ):
        done = fastperf(*words, cwd=evil)
        assert done.returncode in (Exit.NOT_READY, Exit.FAILED), done.stdout
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    assert list((tmp_path / "victim").iterdir()) == []


def test_a_monitor_of_the_repository_is_not_run(own: Small, tmp_path: Path) -> None:
    own.git("config", "core.fsmonitor", f"touch {tmp_path}/ran; false")

    tools.run_update(own, tmp_path / "renders")

    assert not (tmp_path / "ran").exists()


def test_a_work_tree_on_another_disk_is_updated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renames do not reach from the git directory there: files wait in the project."""
    small = tools.make(tmp_path / "first", "worktree")
    monkeypatch.setattr(journal, "work_folder", lambda repo: repo.project / ".fastperf-work")

    tools.run_update(small, tmp_path / "renders")

    assert not (small.project / ".fastperf-work").exists()
    assert "??" not in small.git("status", "--porcelain")
