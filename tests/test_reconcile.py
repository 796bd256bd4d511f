"""What a project's answers say and what its files show; what an update leaves importable."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fastperf_new import imports, releases
from fastperf_new.answers import FILE
from fastperf_new.errors import Exit
from fastperf_new.render import files, render
from tests.harness.support import Project, fastperf, variants

Make = Callable[..., Project]
RELEASE = "0.6.0"


def broken(project: Project) -> set[str]:
    """Return the project's imports that lead nowhere."""
    return imports.missing(
        {
            path: (project.folder / path).read_bytes()
            for path in files(project.folder)
            if path.endswith(".py")
        }
    )


def delete_example(project: Project) -> None:
    """Delete the example by hand, as its README said up to 0.6.0."""
    project.git("rm", "-rq", "app/items", "tests/items", "app/wiring/items.py")
    for path in ("app/main.py", "tests/conftest.py"):
        lines = project.read(path).splitlines(keepends=True)
        project.write(path, "".join(line for line in lines if "items" not in line))
    project.commit("without the example")


def edit_answers(old: str, new: str) -> Callable[[Project], None]:
    def edit(project: Project) -> None:
        project.replace(FILE, old, new)
        project.commit("answers by hand")

    return edit


@pytest.mark.parametrize(
    ("answers", "spoil", "wanted", "named"),
    [
        ({}, delete_example, "outbound=yes", "example=no"),
        (
            {"cache": "memory"},
            edit_answers("cache: memory", "cache: redis"),
            "cache=redis",
            "cache=memory",
        ),
        (
            {"cache": "none"},
            edit_answers("cache: none", "cache: redis"),
            "cache=redis",
            "cache=none",
        ),
        ({}, edit_answers("outbound: false", "outbound: true"), "process_pool=yes", "outbound=no"),
        (
            {"database": "postgresql"},
            edit_answers("database: postgresql\n", ""),
            "outbound=yes",
            "database=postgresql",
        ),
        (
            {"database": "postgresql"},
            edit_answers("database: postgresql", "database: mysql"),
            "outbound=yes",
            "database=postgresql",
        ),
        (
            {"compression": True, "metrics": True},
            lambda p: (
                edit_answers("compression: true", "compression: false")(p),
                edit_answers("metrics: true", "metrics: false")(p),
            ),
            "outbound=yes",
            "compression=yes metrics=yes",
        ),
        ({}, edit_answers("tasks: none", "tasks: celery"), "outbound=yes", "tasks=none"),
        (
            {"tasks": "celery"},
            edit_answers("tasks: celery", "tasks: none"),
            "outbound=yes",
            "tasks=celery",
        ),
        (
            {"database": "postgresql", "cache": "redis"},
            lambda p: (
                edit_answers("cache: redis", "cache: memory")(p),
                edit_answers("database: postgresql", "database: sqlite")(p),
                edit_answers("outbound: false", "outbound: true")(p),
            ),
            "process_pool=yes",
            "database=postgresql cache=redis outbound=no",
        ),
        (
            {"database": "mysql", "cache": "redis"},
            lambda p: (
                edit_answers("cache: redis\n", "")(p),
                edit_answers("database: mysql\n", "")(p),
            ),
            "outbound=yes",
            "database=mysql cache=redis",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answers_and_files_that_contradict_each_other_are_set_right_first(
    make_project: Make,
    answers: dict[str, str | bool],
    spoil: Callable[[Project], object],
    wanted: str,
    named: str,
) -> None:
    """The refusal names the change that sets them right, and that is all it takes."""
    project = make_project(RELEASE, **answers)
    spoil(project)
    before = project.snapshot()

    refused = project.run("change", wanted)
    if releases.versions()[-1] != RELEASE:
        assert project.run("update").stderr == refused.stderr

    assert refused.returncode == Exit.NOT_READY, refused.stdout
    assert project.snapshot() == before
    command = re.search(
        r"run (fastperf change [^:]*?) and commit, then try again\.$", refused.stderr
    )
    assert command
    assert command[1] == f"fastperf change {named}"
    done = project.run(*shlex.split(command[1])[1:])
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    project.commit("set right")
    # Nothing but the answers, and what was left of it in documents.
    assert not [
        p for p in project.git("show", "--name-only", "--format=").split() if p[:4] == "app/"
    ]
    assert not broken(project)

    changed = project.run("change", wanted)
    assert changed.returncode == Exit.DONE, changed.stdout + changed.stderr
    assert not broken(project)
    updated = project.run("update", "--dry-run")
    assert updated.returncode in (Exit.DONE, Exit.CONFLICTS, Exit.NOT_READY)


def test_text_that_is_missing_is_restored_from_git(make_project: Make) -> None:
    project = make_project(RELEASE)
    edit_answers("description: A FastAPI service.\n", "")(project)

    refused = project.run("change", "outbound=yes")

    assert refused.returncode == Exit.NOT_READY
    assert "has no line for description" in refused.stderr
    found = re.search(r"\((git log [^)]*?) shows the line\)", refused.stderr)
    assert found
    assert "-description: A FastAPI service." in project.git(*shlex.split(found[1])[1:])


def test_what_was_renamed_is_still_there(make_project: Make) -> None:
    project = make_project(RELEASE)
    project.git("mv", "app/items", "app/products")
    project.commit("items are products")

    done = project.run("change", "outbound=yes")

    assert "the project's files are those of" not in done.stderr
    assert (project.folder / "app/products/models.py").exists()


def test_files_that_a_release_has_are_known_without_rendering(tmp_path: Path) -> None:
    """For every release with its presets, and every variant of the working tree."""
    for version in releases.versions():
        release = releases.get(version)
        for preset in ("minimal", "standard"):
            answers = release.questionnaire.complete({"name": "shop", "preset": preset})
            render(release, answers, tmp_path / version / preset)
            assert release.paths(answers) == set(files(tmp_path / version / preset))
    release = releases.get(releases.DEVELOPMENT)
    for number, variant in enumerate(variants()[::3]):
        answers = release.questionnaire.complete(variant)
        render(release, answers, tmp_path / str(number))
        assert release.paths(answers) == set(files(tmp_path / str(number)))


# --- imports --------------------------------------------------------------------------------


def test_own_code_that_imports_what_goes_is_named(make_project: Make) -> None:
    project = make_project(RELEASE)
    project.write("app/orders.py", "from app.items.models import Item\n\nprint(Item)\n")
    project.commit()

    done = project.run("change", "example=no")

    assert done.returncode == Exit.CONFLICTS
    assert (
        "These import what is no longer there; mend them before you commit:\n"
        "  app/orders.py imports app.items.models.Item\n"
    ) in done.stdout
    assert "To take it back: git reset --hard\n" in done.stdout


def test_files_of_a_renamed_package_have_no_markers_to_look_for(make_project: Make) -> None:
    project = make_project("0.5.1")
    project.git("mv", "app", "service")
    project.commit("renamed")

    done = project.run("update")

    assert done.returncode == Exit.CONFLICTS
    marked, _, rest = done.stdout.partition("look for <<<<<<< in them:\n")[2].partition("\nThese")
    for path in [line.strip() for line in marked.splitlines() if line.startswith("  ")]:
        assert "<<<<<<< yours" in project.read(path), path
    assert "service/fields.py" in project.git("diff", "--staged", "--name-only")
    assert "imports app." in rest + done.stdout


def test_a_folder_that_goes_with_a_change_is_left_by_name(make_project: Make) -> None:
    project = make_project(RELEASE)

    done = fastperf("change", "example=no", cwd=project.folder / "app/items")

    assert done.returncode == Exit.DONE, done.stderr
    assert f"  cd {project.folder}\n" in done.stdout


FILES = {
    "app/__init__.py": "",
    "app/a.py": (
        "import typing\nfrom app.b import *\nif typing.TYPE_CHECKING:\n    from os import path as p\n"
        "try:\n    import app.none\nexcept ImportError:\n    none = None\n"
        "for one in ():\n    two = 2\nwith open('x') as three:\n    pass\n(four := 4)\ntype_ = five = 5\n"
    ),
    "app/b.py": "def __getattr__(name: str) -> object:\n    return name\n",
    "app/c.py": "class C:\n    inner = 1\n\n\nx: int = 1\ny, (z, *w) = 1, (2, 3)\n",
    "app/space/d.py": "",
    "src/app/e.py": "E = 1\n",
    "app/broken.py": "<<<<<<< yours\n",
    "gunicorn.conf.py": "",
    "redis/conf.py": "",
}


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("import os, json.decoder, sqlalchemy.orm", []),
        ("import app.a, app.space, app.space.d", []),
        ("from app import a, b, space", []),
        ("from app.c import C, x, y, z, w", []),
        ("from app.a import one, two, three, four, five, none, typing, anything", []),
        ("from app.b import anything", []),
        ("from app.broken import anything", []),
        ("from . import c", []),
        ("from .space import d", []),
        ("from app.c import *", []),
        ("try:\n    import app.none\nexcept ImportError:\n    pass", []),
        ("import app.none", ["app.none"]),
        ("import app.c.deeper", ["app.c.deeper"]),
        ("from app import none", ["app.none"]),
        ("from app.c import D, inner", ["app.c.D", "app.c.inner"]),
        ("from .none import d", ["app.none.d"]),
        ("from .space import none", ["app.space.none"]),
        ("def f():\n    from app.none import x", ["app.none.x"]),
        ("if typing.TYPE_CHECKING:\n    import app.none", []),
        ("with suppress(ImportError):\n    import app.none", []),
        ("from app.c import __name__, __doc__", []),
        ("from src.app.e import E", []),
        ("from app.e import E", []),  # as with `src` on the path
        ("X = (" + "'a' + " * 3000 + "'a')", []),
        ("X = " + "-" * 30000 + "1", []),
        ("from tests.none import x", ["tests.none.x"]),
        ("from gunicorn.config import Config\nimport redis.asyncio", []),
    ],
)
def test_imports_that_lead_nowhere_are_found(line: str, missing: list[str]) -> None:
    contents = {path: text.encode() for path, text in FILES.items()}

    found = imports.missing({**contents, "app/mine.py": line.encode()})

    assert found - imports.missing(contents) == {f"app/mine.py imports {name}" for name in missing}
