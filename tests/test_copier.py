"""Plain Copier works on the repository too, for projects that plain Copier made.

Everything here runs the `copier` program itself, without --trust: pytest-copie trusts
every template, so it could not tell.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastperf_new import releases
from fastperf_new.answers import FILE
from tests.conftest import ROOT
from tests.harness.support import Project

COPIER = Path(sys.executable).parent / "copier"


def copier(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [COPIER, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as a host would have it: one tagged commit for each release."""
    repository = Project(tmp_path_factory.mktemp("hosted") / "template.git")
    repository.folder.mkdir()
    repository.git("init", "-q")
    for version in releases.versions():
        shutil.rmtree(repository.folder / "template", ignore_errors=True)
        releases.get(version).unpack(repository.folder)
        repository.commit(version)
        repository.git("tag", f"v{version}")
    return repository.folder


def test_copy_and_update(hosted: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "shop")
    given = ("--defaults", "-d", "name=shop", "-d", "description=Sells {{ tea }}")
    copier("copy", *given, "--vcs-ref", "v0.1.0", hosted, project.folder, cwd=tmp_path)
    assert project.version() == "v0.1.0"
    assert not (project.folder / "app/compression.py").exists()
    project.git("init", "-q")
    project.commit()
    asked = '"""What a client may ask of a list."""'
    project.replace("app/pagination.py", asked, '"""What one may ask of a list."""')
    project.commit()

    copier("update", "--defaults", cwd=project.folder)

    newest = releases.versions()[-1]
    assert project.version() == f"v{newest}"
    assert (project.folder / "app/compression.py").exists()
    assert "What one may ask of a list." in project.read("app/pagination.py")
    assert "Sells {{ tea }}" in project.read(FILE)
    assert "<<<<<<<" not in project.git("diff")


def test_the_checkout_itself_is_a_template(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)

    copier(
        "copy",
        "--defaults",
        "-d",
        "name=shop",
        "--vcs-ref",
        "HEAD",
        clone,
        tmp_path / "shop",
        cwd=tmp_path,
    )

    assert 'name = "shop"' in (tmp_path / "shop/pyproject.toml").read_text("utf-8")


def test_copier_refuses_what_we_refuse(hosted: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [COPIER, "copy", "--defaults", "-d", "name=class", hosted, tmp_path / "x"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "'class' is a keyword of Python." in done.stderr
    assert not (tmp_path / "x").exists()
