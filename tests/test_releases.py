"""A release is a file that never changes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastperf_new import changes, releases
from fastperf_new.errors import RefusedError, WrongInputError
from tests.conftest import ROOT


def test_every_file_is_the_one_that_was_released() -> None:
    ledger = releases.read_ledger()

    assert list(ledger) == releases.versions()
    assert {path.stem for path in releases.FOLDER.glob("*.zip")} == ledger.keys()
    for version, digest in ledger.items():
        content = (releases.FOLDER / f"{version}.zip").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert releases.get(version).questionnaire["name"]


def test_no_commit_ever_changed_one() -> None:
    """Sees as much as the clone has: CI clones the whole history."""
    changed = subprocess.run(
        ["git", "log", "--diff-filter=MDRT", "--format=", "--name-only", "--", "*/releases/*.zip"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert changed == []


def test_a_damaged_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(releases.FOLDER, tmp_path / "releases")
    monkeypatch.setattr(releases, "FOLDER", tmp_path / "releases")
    version = releases.versions()[0]
    path = tmp_path / "releases" / f"{version}.zip"
    path.write_bytes(path.read_bytes().replace(b"FastAPI", b"FlaskAPI", 1))

    with pytest.raises(RefusedError, match=f"release {version} is damaged"):
        releases.get(version)


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(WrongInputError, match=r"no release '0\.1\.00': did you mean '0\.1\.0'"):
        releases.get("0.1.00")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "template", copy / "template")
    for name in ("copier.yml", "changes.yml"):
        shutil.copy(ROOT / name, copy)
    for left_over in ("app/__pycache__/main.pyc", ".mypy_cache/a", ".venv/bin/python"):
        (copy / "template" / left_over).parent.mkdir(parents=True, exist_ok=True)
        (copy / "template" / left_over).touch()

    assert releases.pack(copy) == releases.pack(ROOT)


def test_a_checkout_that_differs_from_the_release_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = releases.latest()
    newest.unpack(tmp_path)
    monkeypatch.setattr(releases, "checkout", lambda: tmp_path)
    assert releases.current() == newest
    (tmp_path / changes.FILE).write_text(changes.EMPTY)  # of the next one
    assert releases.current() == newest

    (tmp_path / "template" / "new.txt").write_text("new\n")
    assert releases.current().commit == "development"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with an environment of its own, ready to cut a release."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    return clone


def cut(checkout: Path, version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/release.py", version],
        cwd=checkout,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(checkout / "src"),
            "HOME": str(checkout.parent),
        }
        | {"GIT_CONFIG_GLOBAL": os.environ["GIT_CONFIG_GLOBAL"]},
        capture_output=True,
        text=True,
        check=False,
    )


def set_version(checkout: Path, version: str) -> None:
    pyproject = checkout / "pyproject.toml"
    lines = pyproject.read_text().splitlines()
    lines = [f'version = "{version}"' if line.startswith("version = ") else line for line in lines]
    pyproject.write_text("\n".join(lines) + "\n")
    changelog = checkout / "CHANGELOG.md"
    changelog.write_text(changelog.read_text() + f"\n## [{version}] - 2030-01-01\n")
    subprocess.run(["git", "commit", "-qam", "Prepare"], cwd=checkout, check=True)


def test_a_release_is_cut_once(checkout: Path) -> None:
    set_version(checkout, "9.9.9")

    done = cut(checkout, "9.9.9")

    assert done.returncode == 0, done.stderr
    ledger = json.loads((checkout / "src/fastperf_new/releases/ledger.json").read_text())
    content = (checkout / "src/fastperf_new/releases/9.9.9.zip").read_bytes()
    assert ledger["9.9.9"] == hashlib.sha256(content).hexdigest()
    tag = subprocess.run(
        ["git", "rev-parse", "v9.9.9^{commit}", "HEAD"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert tag[0] == tag[1]
    assert "is not newer than 9.9.9" in cut(checkout, "9.9.9").stderr


def test_a_release_takes_its_list_of_changes_and_leaves_an_empty_one(checkout: Path) -> None:
    listed = checkout / changes.FILE
    listed.write_text("notes: [{text: Look at your settings.}]\n")
    set_version(checkout, "9.9.9")

    done = cut(checkout, "9.9.9")

    assert done.returncode == 0, done.stderr
    content = (checkout / "src/fastperf_new/releases/9.9.9.zip").read_bytes()
    release = releases.Release("9.9.9", content)
    assert release.changes.notes == (changes.Note("Look at your settings."),)
    assert listed.read_text() == changes.EMPTY
    status = ["git", "status", "--porcelain"]
    assert subprocess.check_output(status, cwd=checkout, text=True) == ""


def test_a_list_of_changes_that_is_not_true_is_not_released(checkout: Path) -> None:
    (checkout / changes.FILE).write_text("modules: {app.nowhere: app.main}\n")
    set_version(checkout, "9.9.9")

    done = cut(checkout, "9.9.9")

    assert done.returncode == 1
    assert (
        "changes.yml is not right:\nmodules: the release before has no app.nowhere." in done.stderr
    )
    assert not (checkout / "src/fastperf_new/releases/9.9.9.zip").exists()


def test_a_release_needs_its_version_and_its_changes_told(checkout: Path) -> None:
    assert "pyproject.toml says" in cut(checkout, "9.9.8").stderr
    set_version(checkout, "9.9.8")
    (checkout / "CHANGELOG.md").write_text("nothing\n")
    assert "CHANGELOG.md has no section" in cut(checkout, "9.9.8").stderr
    subprocess.run(["git", "checkout", "-q", "."], cwd=checkout, check=True)
    (checkout / "template" / "x.txt").write_text("x\n")
    assert "not committed" in cut(checkout, "9.9.8").stderr
