"""Making a new project: render, `git init`, put into place, `uv sync`, first commit."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new import git, stopping
from fastperf_new.deferring import deferred
from fastperf_new.errors import NotReadyError, RefusedError
from fastperf_new.install import InstallError, sync
from fastperf_new.placing import Stage, check_destination, refusal
from fastperf_new.questions import Answers
from fastperf_new.releases import Release
from fastperf_new.render import files, render

OLDEST_GIT = (2, 28)  # the first with `git init --initial-branch`


_SIGNS = ("config", "--type=bool", "--default=false", "--get", "commit.gpgSign")


@dataclass
class Created:
    """A new project, and what could not be done for it."""

    folder: Path
    installed: bool = False
    first_commit: str = ""  # its message, where it is left to the user
    part_of: str = ""  # the repository that it is a part of
    stopped: int = 0  # the exit code, when a signal stopped the installation
    warnings: list[str] = field(default_factory=list)


def preview(release: Release, answers: Answers) -> list[str]:
    """Return the files that a new project would have."""
    with TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as folder:
        render(release, answers, Path(folder) / "render")
        return files(Path(folder) / "render")


def new(
    folder: Path,
    release: Release,
    answers: Answers,
    *,
    with_git: bool,
    with_install: bool,
    before_install: Callable[[], None] = lambda: None,
) -> Created:
    """Make a new project in a folder, an absolute path.

    Raises:
        NotReadyError: when the destination is not empty, or cannot be made.
        RefusedError: when the project cannot be rendered or written.
        Stopped: when a signal came before the project was in place. Nothing is left behind
            after any of these.
    """
    created = Created(folder)
    stage = Stage(folder)
    message = f"New project from fastperf-new {release.version}"
    try:
        check_destination(folder)
        plan = _plan(folder) if with_git else _Plan()
        _make(stage, release, answers, with_init=plan.init)
        if with_install:
            _install(created, before_install)
        stopping.hold()
    except stopping.Stopped as stop:
        stage.clean()  # the signal may have stopped that too
        if not stage.placed:
            stop.message = f"Stopped: nothing was made.{_left(stage)}"
            raise
        created.stopped = stop.exit
    except git.GitError as error:
        reason = str(error).rstrip(".")
        raise RefusedError(
            f"Nothing was made, because {reason}: mend that, or add --no-git.{_left(stage)}"
        ) from error
    except OSError as error:
        sentence = refusal(folder, error)
        raise type(sentence)(f"{sentence}{_left(stage)}") from error
    if with_install and not created.installed and created.stopped:
        created.warnings.append("The dependencies are not installed: uv sync was stopped.")
    if stage.left():
        created.warnings.append(f"Something could not be removed.{_left(stage)}")
    if plan.commit:
        _commit(created, message)
    elif with_git:
        created.part_of = plan.part_of
        created.first_commit = message
    return created


def _left(stage: Stage) -> str:
    left = stage.left()
    return f" Remove what is left: {', '.join(map(str, left))}." if left else ""


# --- the repository -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What git is to do for a new project."""

    init: bool = False
    commit: bool = False
    part_of: str = ""  # the repository that it becomes a part of


def _plan(folder: Path) -> _Plan:
    """Plan a repository for a project, or make it part of the one around it.

    Raises:
        NotReadyError: when the destination has a `.git` that is not a fresh repository.
        GitError: when git cannot say.
    """
    git.need(*OLDEST_GIT)
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    has_git = os.path.lexists(folder / ".git")
    try:
        root = git.line("rev-parse", "--show-toplevel", cwd=there)
    except git.GitError as error:
        # Not of a broken one: "not a git repository: (null)", or the name of a folder.
        if "not a git repository (or any" not in str(error):
            raise
        root = ""
    if has_git:
        if not root or Path(root) != folder.resolve():
            raise NotReadyError(
                f"{folder / '.git'} is not a repository: remove it, or choose another place for the"
                " project."
            )
        return _Plan(commit=True) if _is_fresh(folder) else _Plan(part_of=root)
    if not root or _is_ignored(folder, there):
        return _Plan(init=True, commit=True)
    return _Plan(part_of=root)


def _is_fresh(folder: Path) -> bool:
    """Whether a repository has no commit on its branch.

    Raises:
        NotReadyError: when something is staged, which the first commit would remove.
    """
    words = ("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    lines = git.run(*words, cwd=folder).decode(errors="replace").splitlines()
    oids = [line for line in lines if line.startswith("# branch.oid ")]
    if len(oids) != 1:
        raise git.GitError("git status failed: it did not name the last commit.")
    if oids[0] != "# branch.oid (initial)":
        return False
    if any(not line.startswith("#") for line in lines):
        raise NotReadyError(
            f"The repository {folder} has staged files: commit or unstage them first."
        )
    return True


def _is_ignored(folder: Path, there: Path) -> bool:
    """Whether the repository around a folder ignores it; git answers for both cases."""
    path = os.fsencode(folder.resolve()) + b"/"  # a folder, though it may not exist yet
    words = ("check-ignore", "--verbose", "--non-matching", "-z", "--stdin")
    printed = git.run(*words, cwd=there, stdin=path + b"\0", allowed=(0, 1))
    fields = printed.split(b"\0")
    if len(fields) != 5:  # source, line, pattern, path, and what follows the last NUL
        raise git.GitError("git check-ignore failed: it did not answer.")
    pattern = fields[2]
    return bool(pattern) and not pattern.startswith(b"!")


def _commit(created: Created, message: str) -> None:
    """Make the first commit, without hooks; what prevents it is a warning."""
    folder = created.folder
    try:
        git.run("add", "--all", cwd=folder)
        # A passphrase is asked for at the terminal. Else Ctrl-C there does not reach git.
        signs = git.line(*_SIGNS, cwd=folder) == "true"
        words = ("commit", "--quiet", "--no-verify", "-m", message)
        git.run(*words, cwd=folder, as_user=signs)
    except (RefusedError, OSError) as error:
        reason = str(error)
        if "tell me who you are" in reason or "empty ident name" in reason:
            reason = "tell git who you are (git config --global user.name, and user.email)."
        created.warnings.append(f"There is no first commit: {reason}")
        created.first_commit = message


# --- the files ------------------------------------------------------------------------------


def _make(stage: Stage, release: Release, answers: Answers, *, with_init: bool) -> None:
    """Make the project and put it into place, or leave nothing."""
    try:
        project = stage.open()
        render(release, answers, project)
        if with_init:
            with deferred():  # a git that is left alone writes into what is being removed
                git.run("init", "--quiet", "--initial-branch=main", cwd=project)
        stage.place()
    finally:
        stage.clean()


def _install(created: Created, before: Callable[[], None]) -> None:
    """Install the dependencies; what prevents it is a warning."""
    try:
        before()
        sync(created.folder)
        created.installed = True
    except (InstallError, OSError) as error:
        created.warnings.append(f"The dependencies are not installed: {error}")
