"""Running git, with nothing leaking in from where the command was started."""

import os
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
) -> bytes:
    """Run git and return what it prints.

    Raises:
        GitError: when it exits with a code that is not allowed.
        NotReadyError: when there is no git.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _LOCAL}
    try:
        done = subprocess.run(
            ["git", *map(str, arguments)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            check=False,
            # Without optional locks, a look at the status leaves the index as it is.
            env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", **(env or {})},
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise NotReadyError(f"The folder {cwd} is gone.") from None
        raise NotReadyError("git is not installed: install it, then try again.") from None
    if done.returncode not in allowed:
        complaint = done.stderr.decode(errors="replace").strip()
        name = next(str(word) for word in arguments if not str(word).startswith(("-", "/")))
        raise GitError(f"git {name} failed: {' '.join(complaint.split()) or 'it says nothing.'}")
    return done.stdout


def line(*arguments: str | Path, cwd: Path) -> str:
    """Run git and return the one line that it prints; empty when it fails."""
    try:
        return os.fsdecode(run(*arguments, cwd=cwd)).removesuffix("\n")
    except GitError:
        return ""
