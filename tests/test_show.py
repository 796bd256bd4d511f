"""`make show` prints what a change does to rendered projects."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the template of the working tree, on `main`."""
    folder = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("__pycache__", "*_cache")
    shutil.copytree(ROOT / "template", folder / "template", ignore=ignore)
    shutil.copy(ROOT / "copier.yml", folder)
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/show.py", folder / "scripts")
    git(folder, "init", "-q")
    commit(folder)
    return folder


def git(checkout: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=checkout, check=True)


def commit(checkout: Path) -> None:
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "work")


def show(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/show.py", *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def edit(checkout: Path, path: str) -> None:
    file = checkout / "template" / path
    file.write_text("# changed\n" + file.read_text("utf-8"), "utf-8")


def test_a_change_that_is_not_committed_is_shown_where_it_is_rendered(checkout: Path) -> None:
    edit(checkout, "app/health.py")
    edit(checkout, "app/outbound.py")  # in none of these projects
    (checkout / "template/app/fields.py").rename(checkout / "template/app/kinds.py")

    done = show(checkout, "minimal", "standard")

    assert done.returncode == 0, done.stderr
    stat, _, patch = done.stdout.partition("diff --git")
    for name in ("minimal", "standard"):
        assert f"{{before => after}}/{name}/app/health.py" in stat
        assert f"before/{name}/app/fields.py => after/{name}/app/kinds.py" in stat
    assert "4 files changed, 2 insertions(+)" in stat
    assert patch.count("\n+# changed\n") == 2
    assert "outbound" not in done.stdout


def test_a_branch_is_compared_with_where_it_left_main(checkout: Path) -> None:
    git(checkout, "switch", "-qc", "branch")
    edit(checkout, "app/health.py")
    commit(checkout)
    edit(checkout, "app/errors.py")
    commit(checkout)

    done = show(checkout, "minimal")

    assert " 2 files changed, 2 insertions(+)" in done.stdout
    assert " 1 file changed, 1 insertion(+)" in show(checkout, "--base", "HEAD^", "minimal").stdout
    assert "No project differs from HEAD." in show(checkout, "--base", "HEAD", "minimal").stdout


def test_on_main_the_last_commit_is_shown(checkout: Path) -> None:
    edit(checkout, "app/health.py")
    commit(checkout)

    assert " 1 file changed, 1 insertion(+)" in show(checkout, "minimal").stdout


def test_what_cannot_be_shown_is_an_error(checkout: Path) -> None:
    assert "error: nowhere has no template" in show(checkout, "--base", "nowhere").stderr
    assert "no such set: most" in show(checkout, "most").stderr
