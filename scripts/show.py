"""Print what a change does to rendered projects: `make show`.

Renders the same answers from a git revision and from the working tree, and prints the difference,
moved files as moves. Without a revision the change is all that this branch has and `main` has not;
on `main` itself, what is not committed, or else the last commit.
"""

import argparse
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new import releases
from fastperf_new.questions import Answers
from fastperf_new.render import render

ROOT = Path(__file__).parent.parent
PACKED = ["copier.yml", "template"]

SETS: dict[str, Answers] = {
    "minimal": {"preset": "minimal"},
    "standard": {"preset": "standard"},
    "standard-postgresql": {"preset": "standard", "database": "postgresql"},
    "everything": {
        "preset": "standard",
        "database": "postgresql",
        "cache": "redis",
        "tasks": "celery",
        "outbound": True,
        "process_pool": True,
        "server": "gunicorn",
        "deployment": "kubernetes",
    },
}


def base() -> str:
    """Return the revision that the working tree is compared with."""
    head = _git("rev-parse", "HEAD")
    for main in ("main", "origin/main"):
        if _git("rev-parse", "--verify", "--quiet", main, may_fail=True):
            common = _git("merge-base", "HEAD", main)
            if common != head:
                return common
    return "HEAD" if _git("status", "--porcelain", "--", *PACKED) else "HEAD^"


def before(revision: str) -> releases.Release:
    """Return the template of a revision as a release.

    Raises:
        SystemExit: when the revision has no template.
    """
    archive = subprocess.run(
        ["git", "archive", revision, *PACKED], cwd=ROOT, check=False, capture_output=True
    )
    if archive.returncode:
        sys.exit(f"error: {revision} has no template: {archive.stderr.decode().strip()}")
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        return releases.Release(releases.DEVELOPMENT, releases.pack(Path(folder)))


def write(release: releases.Release, name: str, folder: Path) -> None:
    """Render one set of answers, without those that the release does not ask for."""
    questionnaire = release.questionnaire
    known = {key: answer for key, answer in SETS[name].items() if key in questionnaire}
    render(release, questionnaire.complete({"name": "shop", **known}), folder / name)


def show(revision: str, names: list[str]) -> None:
    """Print the difference: the files and how much of each, then the lines."""
    old, new = before(revision), releases.Release(releases.DEVELOPMENT, releases.pack(ROOT))
    with TemporaryDirectory() as folder:
        for name in names:
            write(old, name, Path(folder) / "before")
            write(new, name, Path(folder) / "after")
        for part in ("--stat=120", "--patch"):
            words = ["git", "--no-pager", "diff", "--no-index", "-M", part, "before", "after"]
            difference = subprocess.run(words, cwd=folder, check=False)
            if difference.returncode > 1:
                sys.exit("error: git cannot compare the projects.")
    if not difference.returncode:
        print(f"No project differs from {revision}.")


def _git(*words: str, may_fail: bool = False) -> str:
    done = subprocess.run(
        ["git", *words], cwd=ROOT, check=not may_fail, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print what a change does to rendered projects.")
    parser.add_argument("--base", default="", help="the revision before the change")
    parser.add_argument("sets", nargs="*", metavar="set", help=f"some of {', '.join(SETS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"no such set: {', '.join(sorted(unknown))}")
    show(arguments.base or base(), arguments.sets or list(SETS))
