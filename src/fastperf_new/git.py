"""Running git, with nothing leaking in from where the command was started."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fastperf_new.errors import NotReadyError, RefusedError

# `git rev-parse --local-env-vars`, set inside hooks, where they name another repository, and
# what would put files of the user's into ours.
_LOCAL = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
)

# A folder of a clone may look like a bare repository, whose settings name programs to run.
# Neither they nor hooks have a part in what we do.
_CAUTION = (
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
)

# For repositories of our own: no configuration, a fixed author.
OURS = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "fastperf",
    "GIT_AUTHOR_EMAIL": "fastperf@fastperf-new.invalid",
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "fastperf",
    "GIT_COMMITTER_EMAIL": "fastperf@fastperf-new.invalid",
    "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z",
}


class GitError(RefusedError):
    """git did not do what was asked; the message is its own."""


def run(
    *arguments: str | Path,
    cwd: Path,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    allowed: tuple[int, ...] = (0,),
    as_user: bool = False,
) -> bytes:
    """Run git and return what it prints.

    Args:
        allowed: the exit codes that are an answer, not a failure.
        as_user: run the user's hooks, and let git ask at the terminal (for a passphrase say).

    Raises:
        GitError: when it exits with a code that is not allowed, or is killed.
        NotReadyError: when there is no git.
    """
    words = ["git", *(() if as_user else _CAUTION), *map(str, arguments)]
    done = _start(words, cwd=cwd, stdin=stdin, env=env or {}, as_user=as_user)
    if done.returncode not in allowed:
        name = next(
            (w for w in map(str, arguments) if not w.startswith(("-", "/")) and "=" not in w), ""
        )
        raise GitError(f"{f'git {name}'.strip()} failed: {_reason(done)}")
    return done.stdout


def _start(
    words: list[str], *, cwd: Path, stdin: bytes, env: Mapping[str, str], as_user: bool
) -> subprocess.CompletedProcess[bytes]:
    environment = {key: value for key, value in os.environ.items() if key not in _LOCAL}
    try:
        return subprocess.run(
            words,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            check=False,
            # Without optional locks, a look at the status leaves the index as it is.
            env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **env},
            # In a group of its own, Ctrl-C does not reach it while we undo.
            process_group=None if as_user else 0,
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise NotReadyError(f"The folder {cwd} is gone.") from None
        raise NotReadyError("git is not installed: install it, then try again.") from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return why git failed, in its own words where it has some."""
    if done.returncode < 0:
        return f"it was killed by signal {-done.returncode}."
    complaint = " ".join(done.stderr.decode(errors="replace").split())
    return complaint or f"it exited with code {done.returncode} and no message."


def line(*arguments: str | Path, cwd: Path) -> str:
    """Run git and return the one line that it prints, never an empty one.

    Raises:
        GitError: when it fails, or prints nothing.
    """
    printed = os.fsdecode(run(*arguments, cwd=cwd)).removesuffix("\n")
    if not printed:
        raise GitError(f"git {arguments[0]} printed nothing.")
    return printed


def need(*version: int) -> None:
    """Refuse a git that is older than a version.

    Raises:
        NotReadyError: when it is, or there is none.
    """
    printed = line("version", cwd=Path("/"))
    found = re.search(r"\d+(\.\d+)+", printed)
    if found and tuple(map(int, found[0].split("."))) < version:
        raise NotReadyError(
            f"git {found[0]} is too old: fastperf needs {'.'.join(map(str, version))} or newer."
            " Install a newer git, then try again."
        )
