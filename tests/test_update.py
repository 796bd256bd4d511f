"""An update takes the template's improvements in, and the user's own work stays as it is."""

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastperf_new import apply, journal, releases, repository
from fastperf_new.answers import FILE
from fastperf_new.errors import Exit, RefusedError
from fastperf_new.install import find_uv
from fastperf_new.merge import Merge, merged
from fastperf_new.render import files, render
from tests.conftest import ROOT
from tests.harness.support import FASTPERF, Environment, Project, fastperf, next_commands

Make = Callable[..., Project]


def worktree(project: Project) -> dict[str, bytes]:
    return {
        path: (project.folder / path).read_bytes()
        for path in files(project.folder)
        if not path.startswith(".git/")
    }


def edit(project: Project) -> None:
    """Work on a project as its user would: change, add, delete and rename."""
    project.replace("app/items/routes.py", '"""Return one item."""', '"""Return one thing."""')
    project.replace(
        "app/main.py",
        "    app.include_router(health.router)\n",
        "    app.include_router(health.router)\n    app.include_router(orders.router)\n",
    )
    project.replace("app/main.py", "from app import health\n", "from app import health, orders\n")
    project.write(
        "app/orders.py",
        '"""My own feature."""\n\nfrom fastapi import APIRouter\n\nrouter = APIRouter(prefix="/orders")\n\n\n'
        '@router.get("")\nasync def list_orders() -> list[str]:\n    """List orders."""\n    return ["tea"]\n',
    )
    project.git("rm", "-q", "tests/observability/test_logs.py")
    project.git("mv", "app/observability/instruments.py", "app/observability/middleware.py")
    for path in ("app/main.py",):
        project.replace(path, "app.observability.instruments", "app.observability.middleware")
    project.write(
        "migrations/versions/0002_mine.py",
        project.read("migrations/versions/0001_items.py")
        .replace("0001_items", "0002_mine")
        .replace("down_revision = None", 'down_revision = "0001_items"')
        .replace('op.create_table(\n        "items"', 'op.create_table(\n        "mine"')
        .replace("ix_items", "ix_mine")
        .replace('"items"', '"mine"')
        .replace("pk_items", "pk_mine"),
    )
    project.commit("my work")


# --- from the first release to the second ---------------------------------------------------


def test_an_update_keeps_every_edit(make_project: Make, environment: Environment) -> None:
    project = make_project("0.1.0")
    edit(project)
    own_migrations = {
        p: project.read(p) for p in files(project.folder) if p.startswith("migrations/versions/")
    }
    assert len(own_migrations) == 2

    done = project.run("update", "--release", "0.2.0")

    assert done.returncode == Exit.DONE, done.stderr
    assert project.version() == "v0.2.0"
    # The template's improvements are in, also in the file that the user renamed.
    assert (project.folder / "app/compression.py").exists()
    assert "Compression" in project.read("app/main.py")
    assert "nine times the cost" in project.read("app/observability/middleware.py")
    # The user's work is as it was.
    assert '"""Return one thing."""' in project.read("app/items/routes.py")
    assert "app.include_router(orders.router)" in project.read("app/main.py")
    assert not (project.folder / "tests/observability/test_logs.py").exists()
    assert not (project.folder / "app/observability/instruments.py").exists()
    for path, text in own_migrations.items():
        assert project.read(path) == text
    # All is staged, nothing else lies around, and what to do next is told.
    assert all(line[1] == " " for line in project.git("status", "--porcelain").splitlines())
    assert not (project.folder / ".git/fastperf").exists()
    assert "compression=yes" in done.stdout
    assert "alembic revision --autogenerate" in done.stdout
    project.commit("update")
    environment.run("python", "-c", "import app.main", cwd=project.folder)
    environment.run(
        "python",
        "-m",
        "pytest",
        "-q",
        "-k",
        "not test_models_and_migrations_agree",
        # It has one that these releases did not know.
        *(["-W", "ignore::ResourceWarning"] if sys.version_info >= (3, 13) else []),
        cwd=project.folder,
    )
    assert "at 0.2.0 already" in project.run("update", "--release", "0.2.0").stdout


@pytest.mark.parametrize("preset", ["minimal", "standard"])
def test_an_update_without_edits_is_the_new_release(
    make_project: Make, tmp_path: Path, preset: str
) -> None:
    """A new question takes what the project's preset has for it."""
    versions = releases.versions()
    for old, new in itertools.pairwise(versions):
        project = make_project(old, folder=old, preset=preset)
        assert project.run("update", "--release", new).returncode == Exit.DONE

        release = releases.get(new)
        fresh = tmp_path / f"fresh-{new}"
        render(release, release.questionnaire.complete({"name": "shop", "preset": preset}), fresh)
        updated, made = worktree(project), worktree(Project(fresh))
        for tree in (updated, made):  # migrations are the user's, whatever the template has now
            for path in [path for path in tree if path.startswith("migrations/versions/")]:
                del tree[path]
        assert updated == made


def test_the_newest_release_is_taken_by_default(make_project: Make) -> None:
    project = make_project("0.1.0")

    assert project.run("update").returncode == Exit.DONE
    assert project.version() == f"v{releases.versions()[-1]}"


def test_a_conflict_is_left_to_the_user(make_project: Make) -> None:
    project = make_project("0.1.0")
    project.replace("app/settings.py", "database_read_pool: int = 4", "database_read_pool: int = 8")
    project.commit()
    before = worktree(project)

    done = project.run("update", "--release", "0.2.0")

    assert done.returncode == Exit.CONFLICTS
    assert (
        "Both you and the template changed these; look for <<<<<<< in them:\n  app/settings.py\n"
        in done.stdout
    )
    text = project.read("app/settings.py")
    assert "<<<<<<< yours\n" in text
    assert ">>>>>>> fastperf-0.2.0\n" in text
    assert project.version() == "v0.2.0"
    status = project.git("status", "--porcelain")
    assert "UU app/settings.py" in status
    refused = subprocess.run(
        ["git", "commit", "-m", "x"], cwd=project.folder, capture_output=True, check=False
    )
    assert refused.returncode != 0
    assert project.run("update").returncode == Exit.NOT_READY
    # Giving up is one git command, as after any merge.
    assert done.stdout.endswith("To take it back: git reset --hard\n")
    aborted = project.run("update", "--abort")
    assert aborted.returncode == Exit.NOT_READY
    assert "is in and not committed: take it back with git reset --hard." in aborted.stderr
    project.git("reset", "-q", "--hard")
    assert project.version() == "v0.1.0"
    assert project.git("status", "--porcelain") == ""
    assert worktree(project) == before


def test_what_the_user_deleted_stays_deleted(make_project: Make) -> None:
    project = make_project("0.1.0")
    project.git("rm", "-q", "tests/test_database.py")
    project.commit()

    done = project.run("update", "--release", "0.2.0")

    assert done.returncode == Exit.DONE
    assert "they stay deleted:\n  tests/test_database.py\n" in done.stdout
    assert not (project.folder / "tests/test_database.py").exists()


def test_a_dry_run_shows_the_diff_and_touches_nothing(make_project: Make) -> None:
    project = make_project("0.1.0")
    edit(project)
    before = project.snapshot()

    done = project.run("update", "--release", "0.2.0", "--dry-run")

    assert done.returncode == Exit.DONE
    assert "+++ b/app/compression.py" in done.stdout
    assert project.snapshot() == before


def test_a_dry_run_may_have_work_beside_it(make_project: Make) -> None:
    project = make_project("0.1.0")
    clean = project.run("update", "--release", "0.2.0", "--dry-run").stdout
    dirty(project)
    untracked(project)
    before = project.snapshot()

    assert project.run("update", "--release", "0.2.0", "--dry-run").stdout == clean
    assert project.snapshot() == before
    project.write(FILE, project.read(FILE) + "# mine\n")
    refused = project.run("update", "--release", "0.2.0", "--dry-run")
    assert refused.returncode == Exit.NOT_READY


# --- what to do next ------------------------------------------------------------------------


def without_uv(folder: Path) -> dict[str, str]:
    """Return a PATH with git and nothing else."""
    folder.mkdir()
    git = shutil.which("git")
    assert git
    (folder / "git").symlink_to(git)
    return {"PATH": str(folder)}


def with_uv(folder: Path) -> dict[str, str]:
    """Return a PATH with git and a uv."""
    environment = without_uv(folder)
    (folder / "uv").write_text("#!/bin/sh\n")
    (folder / "uv").chmod(0o755)
    return environment


def test_what_is_printed_commits_a_new_migration_too(make_project: Make) -> None:
    project = make_project("0.2.0")
    project.write(".env", "DEBUG=1\n")
    project.write(".venv/pyvenv.cfg", "")

    done = project.run("change", "example=no", "compression=yes")

    assert done.stdout.startswith("Changed example to no: ")
    commands = next_commands(done.stdout)
    (migrate,) = (number for number, line in enumerate(commands) if "--autogenerate" in line)
    assert commands[migrate + 1].endswith("alembic upgrade head")
    project.write("migrations/versions/0002_update.py", "")
    for command in commands[-2:]:
        project.git(*shlex.split(command)[1:])
    assert project.git("log", "-1", "--format=%s") == "Change example to no\n"
    assert project.git("status", "--porcelain") == ""
    committed = project.git("ls-files").splitlines()
    assert "migrations/versions/0002_update.py" in committed
    assert not {".env", ".venv/pyvenv.cfg"} & set(committed)


def test_what_git_no_longer_ignores_is_told(make_project: Make) -> None:
    project = make_project("0.5.1")
    project.write("data.db", "")

    done = project.run("change", "database=postgresql")

    assert (
        "no longer does; remove them or ignore them before you commit:\n  data.db\n" in done.stdout
    )
    assert "python scripts/postgresql.py" in next_commands(done.stdout)[2]


def test_what_is_printed_works_without_a_uv_of_the_user(make_project: Make, tmp_path: Path) -> None:
    printed = {}
    for place in (without_uv, with_uv):
        project = make_project("0.5.1", folder=place.__name__)
        environment = place(tmp_path / f"{place.__name__}-bin")
        done = fastperf("change", "cache=redis", cwd=project.folder, env=environment)
        printed[place] = next_commands(done.stdout)

    assert f"{find_uv()} sync" in printed[without_uv]
    assert ".venv/bin/pytest" in printed[without_uv]
    assert "uv sync" in printed[with_uv]
    assert "uv run pytest" in printed[with_uv]


# --- change ---------------------------------------------------------------------------------


def test_the_example_can_be_taken_out(make_project: Make, environment: Environment) -> None:
    project = make_project("0.2.0")
    edit(project)
    project.replace("app/items/routes.py", "Return one thing.", "Return one item.")
    project.commit()

    done = project.run("change", "example=no")

    assert done.returncode == Exit.DONE, done.stdout
    assert not list((project.folder / "tests/items").glob("*"))
    assert "items" not in project.read("app/main.py")
    assert "app.include_router(orders.router)" in project.read("app/main.py")
    assert (project.folder / "migrations/versions/0001_items.py").exists()
    assert (project.folder / "migrations/versions/0002_mine.py").exists()
    assert "example: false" in project.read(FILE)
    assert project.version() == "v0.2.0"
    environment.run("python", "-c", "import app.main, app.orders", cwd=project.folder)


def is_migration(path: str) -> bool:
    return path.startswith("migrations/versions/")


def every_other_answer(version: str) -> list[str]:
    """Return each answer that a project with the defaults can be changed to."""
    questionnaire = releases.get(version).questionnaire
    defaults = questionnaire.complete({"name": "shop"})
    return [
        f"{question.key}={value}"
        for question in questionnaire
        if question.key in defaults
        for value in question.values
        if question.parse(value) != defaults[question.key]
    ]


@pytest.mark.parametrize(
    ("version", "answer"),
    [
        (version, answer)
        for version in ("0.2.0", releases.versions()[-1])
        for answer in every_other_answer(version)
    ],
)
def test_a_change_is_the_same_as_having_chosen_so(
    make_project: Make, tmp_path: Path, version: str, answer: str
) -> None:
    project = make_project(version)
    migrations = set(filter(is_migration, worktree(project)))

    done = project.run("change", answer)
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    project.commit()

    release = releases.get(version)
    key, value = answer.split("=")
    kept = {} if key == "preset" else release.questionnaire.complete({"name": "shop"})
    chosen = {"name": "shop", key: release.questionnaire[key].parse(value)}
    render(release, release.questionnaire.complete(chosen, recorded=kept), tmp_path / "fresh")
    fresh = worktree(Project(tmp_path / "fresh"))
    # The migrations are the user's since the project was made.
    assert {p: c for p, c in worktree(project).items() if not is_migration(p)} == {
        p: c for p, c in fresh.items() if not is_migration(p)
    }
    assert set(filter(is_migration, worktree(project))) == migrations


def test_a_change_can_be_taken_back_by_another(make_project: Make) -> None:
    project = make_project("0.2.0")
    before = worktree(project)
    for answer in ("compression=no", "compression=yes"):
        assert project.run("change", answer).returncode == Exit.DONE
        project.commit()

    assert worktree(project) == before
    assert "has these answers already" in project.run("change", "compression=yes").stdout


# --- where it is refused --------------------------------------------------------------------


def dirty(project: Project) -> None:
    project.replace("app/health.py", "2.0", "3.0")


def untracked(project: Project) -> None:
    project.write("notes.txt", "mine")


def outside_git(project: Project) -> None:
    shutil.rmtree(project.folder / ".git")


def without_commit(project: Project) -> None:
    outside_git(project)
    project.git("init", "-q")


def not_ours(project: Project) -> None:
    (project.folder / FILE).unlink()
    project.commit()


def of_another_template(project: Project) -> None:
    project.replace(FILE, "https://fastperf-new.invalid/template.git", "https://example.com/x.git")
    project.commit()


def damaged(project: Project) -> None:
    project.write(FILE, project.read(FILE) + "ci: none\n")
    project.commit()


def of_a_release_to_come(project: Project) -> None:
    project.replace(FILE, "v0.1.0", "v99.0.0")
    project.commit()


def of_a_working_tree(project: Project) -> None:
    project.replace(FILE, "v0.1.0", "development")
    project.commit()


def with_an_answer_no_longer_offered(project: Project) -> None:
    project.replace(FILE, "ci: github", "ci: jenkins")
    project.commit()


def in_a_merge(project: Project) -> None:
    project.git("checkout", "-q", "-b", "other")
    project.write("a.txt", "other")
    project.commit()
    project.git("checkout", "-q", "main")
    project.write("a.txt", "main")
    project.commit()
    project.git("merge", "-q", "--no-commit", "-s", "ours", "other")


def interrupted(project: Project) -> None:
    """Leave what a kill leaves after the first file was written."""
    repo = repository.find(project.folder)
    journal.make_folders(repo)
    step = journal.Step("app/new.py", journal.NOTHING, "- 0", [], [])
    journal.write(repo, journal.Journal("", [step]))
    project.write("app/new.py", "")


def with_something_ignored_in_the_way(project: Project) -> None:
    project.write(".git/info/exclude", "app/compression.py\n")
    project.write("app/compression.py", "mine")


def with_a_hidden_edit(project: Project) -> None:
    project.git("update-index", "--assume-unchanged", "app/settings.py")
    project.write("app/settings.py", "mine")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (dirty, "changes that are not committed (app/health.py): commit them first, or put"),
        (
            untracked,
            "changes that are not committed (notes.txt): commit them first, or put them aside with git stash -u.",
        ),
        (outside_git, "is not in a git repository: run git init"),
        (without_commit, "has no commit: commit the project first"),
        (not_ours, "is not a project made by fastperf: it has no .copier-answers.yml"),
        (of_another_template, "comes from another template, https://example.com/x.git"),
        (damaged, "is damaged (a key stands there twice): restore it from git"),
        (of_a_release_to_come, "was made by release 99.0.0, and this fastperf knows"),
        (of_a_working_tree, "was made from a working tree of the template"),
        (with_an_answer_no_longer_offered, "no longer offered: ci cannot be 'jenkins'"),
        (in_a_merge, "A merge or rebase is under way"),
        (interrupted, "finish it with fastperf update --continue or take it back"),
        (with_something_ignored_in_the_way, "app/compression.py is in the way"),
        (with_a_hidden_edit, "app/settings.py differs from what is committed"),
    ],
)
def test_a_project_that_is_not_ready_is_left_alone(
    make_project: Make, spoil: Callable[[Project], None], sentence: str
) -> None:
    project = make_project("0.1.0")
    spoil(project)
    before = project.snapshot()

    done = project.run("update", "--release", "0.2.0")

    assert done.returncode == Exit.NOT_READY, done.stderr
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert project.snapshot() == before


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["update", "--release", "0.1.0"], 2, "0.1.0 is older"),
        (["update", "--continue", "--abort"], 2, "contradict each other"),
        (["update", "--continue"], 3, "No update was interrupted here"),
        (["update", "--abort"], 3, "No update was interrupted here"),
        (["change", "exampel=no"], 2, "did you mean 'example'?"),
        (["change", "example=no", "example=yes"], 2, "given twice"),
        (["change", "name=class"], 2, "is a keyword of Python"),
    ],
)
def test_wrong_words_are_one_sentence(
    make_project: Make, words: list[str], code: int, sentence: str
) -> None:
    project = make_project("0.2.0")

    done = project.run(*words)

    assert done.returncode == code
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert project.git("status", "--porcelain") == ""


def test_a_project_is_found_from_its_folders(make_project: Make, tmp_path: Path) -> None:
    project = make_project("0.1.0")
    within = project.folder / "app" / "observability"
    other = Project(project.folder / "other")
    other.write("app/main.py", "")
    other.git("init", "-q")

    assert fastperf("status", cwd=within).returncode == Exit.DONE
    assert fastperf("status", cwd=other.folder / "app").returncode == Exit.NOT_READY
    shutil.rmtree(other.folder)
    done = fastperf("update", "--release", "0.2.0", cwd=within)
    assert done.returncode == Exit.DONE, done.stderr
    assert next_commands(done.stdout)[0] == "cd ../.."
    assert (project.folder / "app/compression.py").exists()


def test_status_tells_where_a_project_stands(make_project: Make) -> None:
    project = make_project("0.1.0")

    told = project.run("status").stdout
    assert f"at 0.1.0; the newest release here is {releases.versions()[-1]}." in told
    assert "  example = yes\n" in told
    assert "fastperf update" in told
    interrupted(project)
    assert "interrupted" in project.run("status").stderr
    assert fastperf("status", cwd=project.folder.parent).returncode == Exit.NOT_READY


# --- all or nothing -------------------------------------------------------------------------

REFUSED, KILLED = 1, 137  # exit codes
NO_SPACE = OSError(28, "No space left on device")

# What changes a file system, as Python reports it before it does it.
MUTATIONS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.symlink"}


def at_mutations(project: Path, act: Callable[[int], None]) -> None:
    """Act just before each change to the project's files, and before each change after the first."""
    number, acting = -1, False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal number, acting
        to_file = event == "open" and not isinstance(arguments[0], int)
        writes = to_file and str(arguments[1]).startswith(("w", "x"))
        if acting or (event not in MUTATIONS and not writes):
            return
        if number >= 0 or str(project) in str(arguments):
            number += 1
            acting = True
            act(number)
            acting = False

    sys.addaudithook(hook)


def in_child(project: Path, merge: Merge, act: Callable[[int], None]) -> int:
    """Apply a merge in a process of its own, and act at each mutation; return its exit code."""
    child = os.fork()
    if child == 0:
        at_mutations(project, act)
        try:
            apply.apply(repository.find(project), merge)
        except RefusedError:
            os._exit(REFUSED)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def interrupted_in(folder: Path) -> bool:
    """Whether an update was begun there and neither finished nor taken back."""
    return journal.is_there(repository.find(folder))


def kill_at(number: int) -> Callable[[int], None]:
    """Return what ends the process before a mutation, as a kill would."""
    return lambda reached: os._exit(KILLED) if reached == number else None


def duplicate(project: Path, target: Path) -> Path:
    """Copy a project by links: neither git nor an update writes into a file that is there."""
    shutil.rmtree(target, ignore_errors=True)
    lock = shutil.ignore_patterns("fastperf.lock")  # nobody holds the lock of a copy
    return shutil.copytree(project, target, symlinks=True, copy_function=os.link, ignore=lock)


@dataclass
class Story:
    """A project before and after an update with conflicts, and the merge between."""

    before: Project
    after: Project
    merge: Merge
    copy: Project

    def state(self, project: Project) -> tuple[dict[str, bytes], str]:
        return worktree(project), project.git("ls-files", "--stage")

    def fresh(self) -> Path:
        return duplicate(self.before.folder, self.copy.folder)


@pytest.fixture
def story(make_project: Make, tmp_path: Path) -> Iterator[Story]:
    before = make_project("0.1.0", folder="before")
    before.replace("app/settings.py", "database_read_pool: int = 4", "database_read_pool: int = 8")
    edit(before)
    before.git("gc", "-q")  # it is copied hundreds of times
    after = Project(shutil.copytree(before.folder, tmp_path / "after"))
    assert after.run("update", "--release", "0.2.0").returncode == Exit.CONFLICTS
    for version in ("0.1.0", "0.2.0"):
        release = releases.get(version)
        render(release, release.questionnaire.complete({"name": "shop"}), tmp_path / version)
    with merged(
        repository.find(before.folder), tmp_path / "0.1.0", tmp_path / "0.2.0", "fastperf-0.2.0"
    ) as merge:
        yield Story(before, after, merge, Project(tmp_path / "copy"))


@pytest.mark.parametrize("finish", [apply.resume, apply.undo], ids=["continue", "abort"])
def test_killed_anywhere_it_can_be_finished_or_taken_back(
    story: Story, tmp_path: Path, finish: Callable[[repository.Repository], None]
) -> None:
    """A copy of the files before a mutation is what a kill would leave there: no lock, no process."""
    before, after = story.state(story.before), story.state(story.after)
    assert before != after
    expected = after if finish is apply.resume else before
    folder = story.fresh()
    killed = Project(tmp_path / "killed")
    log = tmp_path / "unfinished"

    def check(number: int) -> None:
        duplicate(folder, killed.folder)
        if interrupted_in(killed.folder):
            with log.open("a") as lines:
                lines.write(f"{number}\n")
            finish(repository.find(killed.folder))
            assert story.state(killed) == expected, f"killed at {number}"
        else:
            assert story.state(killed) in (before, after), f"killed at {number}"
        assert not interrupted_in(killed.folder)
        assert not (killed.folder / ".git/index.lock").exists()
        assert not list(killed.folder.rglob(".*.fastperf"))

    assert in_child(folder, story.merge, check) == 0
    assert len(log.read_text().splitlines()) > 50, "it was killed at every step"
    assert story.state(story.copy) == after


def test_a_failure_anywhere_takes_everything_back(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure is one of a fork, in a copy that takes the place of the project meanwhile."""
    before, after = story.state(story.before), story.state(story.after)
    folder = story.fresh()
    aside, log = tmp_path / "aside", tmp_path / "failures"
    # By paths, not by descriptors, which would lead to what is aside.
    monkeypatch.setattr(shutil, "_use_fd_functions", False)

    def check(code: int, number: int) -> None:
        assert code in (0, REFUSED), f"failed at {number}"
        if interrupted_in(folder):  # only its own cleaning up failed
            assert story.state(story.copy) == after
            apply.resume(repository.find(folder))
            code = 0
        assert story.state(story.copy) == (after if code == 0 else before), f"failed at {number}"
        assert not interrupted_in(folder)

    def fail(number: int) -> None:
        if number == 0:
            return
        folder.rename(aside)
        duplicate(aside, folder)
        if (child := os.fork()) == 0:
            raise NO_SPACE
        check(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), number)
        with log.open("a") as lines:
            lines.write(f"{number}\n")
        shutil.rmtree(folder)
        aside.rename(folder)

    def fail_first(_: int) -> None:
        raise NO_SPACE

    # There the lock is being taken, which must not happen in a fork.
    check(in_child(folder, story.merge, fail_first), 0)
    story.fresh()
    assert in_child(folder, story.merge, fail) == 0
    assert len(log.read_text().splitlines()) > 50
    assert story.state(story.copy) == after


@pytest.fixture
def halfway(story: Story) -> Project:
    """A project whose update was killed in the middle."""
    for number in itertools.count(80):
        folder = story.fresh()
        assert in_child(folder, story.merge, kill_at(number)) == KILLED
        changed = worktree(story.copy).items() ^ worktree(story.before).items()
        if interrupted_in(folder) and len(changed) > 10:
            return story.copy
    raise AssertionError


@pytest.mark.parametrize("finish", ["--continue", "--abort"])
def test_work_done_after_an_interruption_is_never_overwritten(
    halfway: Project, finish: str
) -> None:
    halfway.write("app/errors.py", "my new work\n")
    before = worktree(halfway)

    done = halfway.run("update", finish)

    assert done.returncode == Exit.NOT_READY
    assert "app/errors.py was changed after the update was interrupted" in done.stderr
    assert worktree(halfway) == before
    assert halfway.run("update").returncode == Exit.NOT_READY


@pytest.mark.parametrize("finish", ["--continue", "--abort"])
def test_a_commit_after_an_interruption_is_never_reverted(halfway: Project, finish: str) -> None:
    halfway.git("checkout", "-q", ".")
    halfway.write("feature.py", "mine\n")
    halfway.write("staged.py", "mine too\n")
    halfway.git("add", "feature.py")
    halfway.git("commit", "-q", "-m", "feature")
    halfway.git("add", "staged.py")

    done = halfway.run("update", finish)

    assert done.returncode == Exit.DONE, done.stderr
    assert halfway.git("show", "HEAD:feature.py") == "mine\n"
    assert halfway.git("show", ":staged.py") == "mine too\n"
    assert halfway.version() == ("v0.2.0" if finish == "--continue" else "v0.1.0")
    halfway.git("commit", "-q", "-m", "staged", "staged.py")
    if finish == "--abort":
        assert halfway.git("status", "--porcelain") == ""


def test_another_git_command_is_not_disturbed(make_project: Make) -> None:
    project = make_project("0.1.0")
    before = worktree(project)
    project.write(".git/index.lock", "")

    done = project.run("update", "--release", "0.2.0")

    assert done.returncode == Exit.FAILED
    assert "Another git command is running here" in done.stderr
    assert worktree(project) == before
    (project.folder / ".git/index.lock").unlink()
    assert project.git("status", "--porcelain") == ""
    assert project.run("update", "--release", "0.2.0").returncode == Exit.DONE


# Runs an update that gets a signal in the middle of its writes.
SIGNALLED = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.test_update import at_mutations
number = int(sys.argv[2])
signal.signal(number, signal.SIG_DFL)  # what runs in the background may ignore it, and so may we
at_mutations(pathlib.Path.cwd(), lambda at: os.kill(os.getpid(), number) if at == 90 else None)
sys.argv = ["fastperf", "update", "--release", "0.2.0"]
from fastperf_new.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_takes_everything_back(make_project: Make, number: signal.Signals) -> None:
    project = make_project("0.1.0")
    before = worktree(project)

    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(ROOT), str(int(number))],
        cwd=project.folder,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 128 + number, done.stderr
    assert worktree(project) == before
    assert project.git("status", "--porcelain") == ""
    assert project.run("update", "--release", "0.2.0").returncode == Exit.DONE


def test_two_updates_at_once_do_not_mix(make_project: Make) -> None:
    project = make_project("0.1.0")
    updates = [
        subprocess.Popen(
            [FASTPERF, "update"], cwd=project.folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    codes = sorted(update.wait(60) for update in updates)

    assert codes.count(Exit.DONE) == 1
    assert set(codes) <= {Exit.DONE, Exit.NOT_READY}
    for update in updates:
        update.communicate()
    project.commit()
    assert project.version() == f"v{releases.versions()[-1]}"
    assert project.run("update").returncode == Exit.DONE


# --- odd places -----------------------------------------------------------------------------


def test_a_project_in_a_part_of_a_repository(tmp_path: Path, make_project: Make) -> None:
    part = make_project("0.1.0", folder="mono/services/shop")
    shutil.rmtree(part.folder / ".git")
    mono = Project(tmp_path / "mono")
    mono.write("README.md", "mono\n")
    mono.git("init", "-q")
    mono.commit()
    part.replace("app/items/routes.py", "Return one item.", "Return one thing.")
    mono.commit()
    mono.write("README.md", "a sibling's work goes on\n")

    done = part.run("update", "--release", "0.2.0")

    assert done.returncode == Exit.DONE, done.stderr
    assert part.version() == "v0.2.0"
    assert "Return one thing." in part.read("app/items/routes.py")
    status = mono.git("status", "--porcelain").splitlines()
    assert " M README.md" in status
    assert "A  services/shop/app/compression.py" in status
    for command in next_commands(done.stdout)[-2:]:
        part.git(*shlex.split(command)[1:])
    assert mono.git("status", "--porcelain") == " M README.md\n"


def test_a_part_of_a_repository_is_taken_back_alone(tmp_path: Path, make_project: Make) -> None:
    part = make_project("0.1.0", folder="mono/shop")
    shutil.rmtree(part.folder / ".git")
    mono = Project(tmp_path / "mono")
    mono.write("README.md", "mono\n")
    part.replace("app/settings.py", "database_read_pool: int = 4", "database_read_pool: int = 8")
    mono.git("init", "-q")
    mono.commit()
    mono.write("README.md", "a sibling's work goes on\n")
    before = worktree(part)

    done = fastperf("update", "--release", "0.2.0", cwd=part.folder / "app")

    assert done.returncode == Exit.CONFLICTS, done.stderr
    back = done.stdout.split("To take it back: ")[1]
    subprocess.run(shlex.split(back), cwd=part.folder / "app", check=True)
    assert mono.git("status", "--porcelain") == " M README.md\n"
    assert worktree(part) == before


def test_a_linked_worktree_and_hostile_settings(make_project: Make, tmp_path: Path) -> None:
    main = make_project("0.1.0")
    for key, value in {
        "core.autocrlf": "true",
        "commit.gpgsign": "true",
        "merge.conflictStyle": "diff3",
        "diff.noprefix": "true",
        "color.ui": "always",
        "status.relativePaths": "false",
        "core.quotePath": "true",
        "diff.renames": "false",
        "merge.renames": "false",
    }.items():
        main.git("config", key, value)
    main.git("worktree", "add", "-q", str(tmp_path / "linked"), "-b", "linked")
    linked = Project(tmp_path / "linked")

    done = fastperf(
        "update",
        "--release",
        "0.2.0",
        cwd=linked.folder,
        env={"GIT_DIR": str(tmp_path / "nowhere"), "GIT_INDEX_FILE": "nowhere"},
    )

    assert done.returncode == Exit.DONE, done.stderr
    assert linked.version() == "v0.2.0"
    # As a checkout would: this user's git writes CRLF.
    assert (linked.folder / "app/compression.py").read_bytes().count(b"\r\n") > 50
    assert "A  app/compression.py" in linked.git("-c", "color.ui=never", "status", "--porcelain")


def test_modes_links_and_binaries_come_through(make_project: Make) -> None:
    project = make_project("0.1.0")
    (project.folder / "logo.png").write_bytes(bytes(range(256)))
    (project.folder / "link").symlink_to("README.md")
    (project.folder / "app/settings.py").chmod(0o755)
    project.commit()

    assert project.run("update", "--release", "0.2.0").returncode == Exit.DONE

    assert (project.folder / "logo.png").read_bytes() == bytes(range(256))
    assert os.readlink(project.folder / "link") == "README.md"
    assert os.access(project.folder / "app/settings.py", os.X_OK)
    assert "100755" in project.git("ls-files", "-s", "app/settings.py")


# --- what an expert tried -------------------------------------------------------------------


def test_an_edited_answers_file_is_no_conflict(make_project: Make) -> None:
    project = make_project("0.2.0")
    project.replace(FILE, "example: true", "# My note.\nexample: yes")
    project.commit()

    done = project.run("change", "example=no")

    assert done.returncode == Exit.DONE, done.stdout
    assert "example: false\n" in project.read(FILE)


def test_an_answer_no_longer_offered_can_be_changed(make_project: Make) -> None:
    project = make_project("0.1.0")
    with_an_answer_no_longer_offered(project)

    assert project.run("change", "ci=none").returncode == Exit.DONE
    assert "ci: none\n" in project.read(FILE)


def test_settings_of_the_user_do_not_reach_the_merge(make_project: Make, tmp_path: Path) -> None:
    hooks, home = tmp_path / "hooks", tmp_path / "someone"
    hooks.mkdir()
    for name in ("reference-transaction", "post-index-change", "post-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\nexit 1\n")
        (hooks / name).chmod(0o755)
    (home / "git").mkdir(parents=True)
    (home / "git/attributes").write_text("* merge=union\n")
    (home / "git/config").write_text(
        f"[core]\nhooksPath = {hooks}\n[safe]\nbareRepository = explicit\n"
        "[user]\nname = x\nemail = x@x\n"
    )
    project = make_project("0.1.0")
    project.replace("app/settings.py", "database_read_pool: int = 4", "database_read_pool: int = 8")
    project.commit()
    environment = {"XDG_CONFIG_HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / "git/config")}

    dry = fastperf("update", "--release", "0.2.0", "--dry-run", cwd=project.folder, env=environment)

    assert dry.returncode == Exit.CONFLICTS, dry.stderr
    assert not (tmp_path / "hooked").exists()


def test_carriage_returns_in_a_commit_are_no_obstacle(make_project: Make) -> None:
    project = make_project("0.1.0")
    text = project.read("app/observability/logs.py")
    (project.folder / "app/observability/logs.py").write_bytes(text.replace("\n", "\r\n").encode())
    project.commit()
    project.git("config", "core.autocrlf", "true")

    done = project.run("update", "--release", "0.2.0")

    assert done.returncode in (Exit.DONE, Exit.CONFLICTS), done.stderr


def test_what_became_a_folder_is_not_called_deleted(make_project: Make) -> None:
    project = make_project("0.1.0")
    text = project.read("app/errors.py")
    project.git("rm", "-q", "app/errors.py")
    project.write("app/errors.py/__init__.py", text)
    project.commit()

    done = project.run("update", "--release", "0.2.0")

    assert "they stay deleted" not in done.stdout
    assert project.read("app/errors.py/__init__.py").startswith(text[:20])


def test_modes_of_files_stay(make_project: Make) -> None:
    project = make_project("0.1.0")
    (project.folder / ".env.example").chmod(0o600)

    assert project.run("update", "--release", "0.2.0").returncode == Exit.DONE
    assert (project.folder / ".env.example").stat().st_mode & 0o777 == 0o600
