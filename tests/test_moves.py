"""An update follows what a release moved: edits stay, references are rewritten, the rest is listed."""

import hashlib
import io
import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fastperf_new import (
    changes,
    git,
    mentions,
    project,
    references,
    releases,
    report,
    repository,
    tidying,
)
from fastperf_new.answers import FILE
from fastperf_new.changes import Changes, ChangesError, composed, moves_of
from fastperf_new.errors import NotReadyError, RefusedError
from fastperf_new.mentions import Place
from fastperf_new.merge import Merge, merged
from fastperf_new.render import files
from fastperf_new.scratch import Scratch
from tests.harness.support import Project

# --- references in Python ---------------------------------------------------------------------

MOVES = moves_of(
    Changes(
        modules={
            "app.background": "app.kit.background",
            "app.caching": "app.kit.caching",
            "app.database": "app.kit.database",
            "app.database.gate": "app.kit.limits",
            "app.tasks": "app.kit.jobs.celery",
        },
        names={
            "app.settings.Base": "app.kit.settings.Base",
            "app.settings.Old": "app.kit.settings.New",
        },
        paths={
            "tests/caching": "tests/kit/caching",
            "tests/test_health.py": "tests/kit/web/test_health.py",
            "gunicorn.conf.py": "deploy/gunicorn.conf.py",
            "deploy/data.json": "deploy/kit/data.json",
        },
    )
)

# What there is before, as modules and the names in them.
THERE = {
    "app": set[str](),
    "app.background": {"Background", "run"},
    "app.caching": {"Cache"},
    "app.caching.redis": {"Redis"},
    "app.database": {"Reads"},
    "app.database.gate": {"Gate"},
    "app.items": set(),
    "app.items.routes": {"router"},
    "app.main": {"app"},
    "app.settings": {"Base", "Old", "Settings"},
    "app.tasks": set(),
    "app.tasks.celery": {"app"},
    "tests.caching": set(),
    "tests.test_health": set(),
}


def exists(dotted: str) -> bool:
    module, _, name = dotted.rpartition(".")
    return dotted in THERE or name in THERE.get(module, ())


def has(path: str) -> bool:
    module = path.rstrip("/").removesuffix(".py").replace("/", ".")
    return module in THERE or path in ("gunicorn.conf.py", "deploy/data.json", "docs/caching.md")


def place(path: str) -> Place:
    return Place(path, MOVES.path(path), MOVES, exists, has)


def rewritten(source: str, path: str = "app/orders.py") -> str:
    """Return a file with its references rewritten; nothing in it may be unsure."""
    find = references.find if path.endswith(".py") else mentions.find
    found = find(source, place(path))
    assert found.unsure == []
    return mentions.applied(source, found.edits)


def unsure(source: str, path: str = "app/orders.py") -> list[str]:
    """Return what is unsure in a file, which stays as it is."""
    find = references.find if path.endswith(".py") else mentions.find
    found = find(source, place(path))
    assert mentions.applied(source, found.edits) == source
    return found.unsure


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import app.caching.redis", "import app.kit.caching.redis"),
        ("import app.caching as c", "import app.kit.caching as c"),
        ("import os, app.background as b", "import os, app.kit.background as b"),
        ("import app.background;x = 1", "import app.kit.background;x = 1"),
        ("from app import background", "from app.kit import background"),
        ("from app import background as b", "from app.kit import background as b"),
        ("from app.background import run", "from app.kit.background import run"),
        ("from app.background import run as r  # why", "from app.kit.background import run as r  # why"),
        ("from app.caching import *", "from app.kit.caching import *"),
        ("from app.caching import redis, Cache", "from app.kit.caching import redis, Cache"),
        ("from app.settings import Base", "from app.kit.settings import Base"),
        ("from app.settings import Old", "from app.kit.settings import New as Old"),
        ("from app.settings import Old as New", "from app.kit.settings import New"),
        ("from app.settings import Settings", "from app.settings import Settings"),
        ("from app.main import app\napp.tasks", "from app.main import app\napp.tasks"),
        ("from apple import background", "from apple import background"),
        # some of its names moved
        (
            "from app import background, items",
            "from app.kit import background\nfrom app import items",
        ),
        (
            "from app import items, background  # noqa: F401",
            "from app import items  # noqa: F401\nfrom app.kit import background  # noqa: F401",
        ),
        (
            "from app.settings import Settings, Base  # mine",
            "from app.settings import Settings\nfrom app.kit.settings import Base  # mine",
        ),
        (
            "def f():\n\tfrom app import items, background\n\treturn items",
            "def f():\n\tfrom app import items\n\tfrom app.kit import background\n\treturn items",
        ),
        ("if 1: from app import items, background", "if 1: from app import items; from app.kit import background"),
        (
            "from app.database import gate, Reads",
            "from app.kit import limits as gate\nfrom app.kit.database import Reads",
        ),
        # with comments and layout
        (
            "from app.background import (\n    Background,  # one\n    # two\n    run,\n)",
            "from app.kit.background import (\n    Background,  # one\n    # two\n    run,\n)",
        ),
        (
            "from app import (\n    background,  # one\n    items,  # two\n)",
            "from app.kit import (\n    background,  # one\n)\nfrom app import (\n    items,  # two\n)",
        ),
        ("from app \\\n    import background", "from app.kit \\\n    import background"),
        (
            "import app.caching\r\nfrom app import items, background\r\n",
            "import app.kit.caching\r\nfrom app import items\r\nfrom app.kit import background\r\n",
        ),
        # in places
        (
            "if TYPE_CHECKING:\n    from app.background import run",
            "if TYPE_CHECKING:\n    from app.kit.background import run",
        ),
        (
            "try:\n    import app.tasks.celery\nexcept ImportError:\n    pass",
            "try:\n    import app.kit.jobs.celery.celery\nexcept ImportError:\n    pass",
        ),
        # attribute chains
        (
            "import app.database.gate\n\nx: app.database.gate.Gate = app.database.Reads",
            "import app.kit.limits\nimport app.kit.database\n\nx: app.kit.limits.Gate = app.kit.database.Reads",
        ),
        (
            "import app.caching\n\n\ndef f(app):\n    return app.caching",
            "import app.kit.caching\n\n\ndef f(app):\n    return app.caching",
        ),
        (
            "import app.caching\n\nx = [app.caching.Cache for _ in app.caching.y if (lambda app: app.caching)]",
            "import app.kit.caching\n\nx = [app.kit.caching.Cache for _ in app.kit.caching.y if (lambda app: app.caching)]",
        ),
        (
            "from app import database\n\nprint(database.Reads, database.gate.Gate)",
            "from app.kit import database\nfrom app.kit import limits\n\nprint(database.Reads, limits.Gate)",
        ),
        (
            "from app import settings\n\nx = settings.Base()",
            "from app.kit.settings import Base\n\nx = Base()",
        ),
        (
            "from app import settings\n\nBase = 1\nx = settings.Base(), settings.Settings",
            "from app import settings\nfrom app.kit.settings import Base as settings_Base\n\nBase = 1\n"
            "x = settings_Base(), settings.Settings",
        ),
        (
            'from app import settings\n\n__all__ = ["settings"]\nx = settings.Base',
            'from app import settings\nfrom app.kit.settings import Base\n\n__all__ = ["settings"]\nx = Base',
        ),
        ("import app.settings as s\ns.Base", "from app.kit.settings import Base\nBase"),
        # strings
        ('patch("app.background.run", 1)', 'patch("app.kit.background.run", 1)'),
        ("import_module('app.tasks.celery')", "import_module('app.kit.jobs.celery.celery')"),
        ('x = r"app.caching.redis:Redis"', 'x = r"app.kit.caching.redis:Redis"'),
        ('open("./app/caching/redis.py")', 'open("./app/kit/caching/redis.py")'),
        ('x = "app.settings.Old"', 'x = "app.kit.settings.New"'),
        ('x = "apple.background"', 'x = "apple.background"'),
        ('x = "background"', 'x = "background"'),
        # comments and docstrings
        ("x = 1  # see app.caching.redis", "x = 1  # see app.kit.caching.redis"),
        (
            '"""Like `app/caching/redis.py` and app.tasks.celery:app."""',
            '"""Like `app/kit/caching/redis.py` and app.kit.jobs.celery.celery:app."""',
        ),
        ("é = 'ü'  # é app.background", "é = 'ü'  # é app.kit.background"),
        ("é = 'ü'; import app.background", "é = 'ü'; import app.kit.background"),
    ],
)  # fmt: skip
def test_a_reference_is_rewritten(before: str, after: str) -> None:
    assert rewritten(before) == after


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        # In a file that moves.
        ("app/caching/layer.py", "from .redis import Redis", "from .redis import Redis"),
        ("app/caching/layer.py", "from . import redis", "from . import redis"),
        ("app/caching/layer.py", "from .. import items", "from ... import items"),
        ("app/caching/layer.py", "from ..items.routes import router", "from ...items.routes import router"),
        ("app/caching/layer.py", "from ..background import run", "from ..background import run"),
        ("app/caching/layer.py", "from .. import background, items", "from .. import background\nfrom ... import items"),
        ("app/caching/__init__.py", "from .redis import Redis", "from .redis import Redis"),
        ("app/database/gate.py", "from . import Reads", "from .database import Reads"),
        ("tests/test_health.py", "from .caching import x", "from ..caching import x"),
        # In one that does not.
        ("app/orders.py", "from .background import run", "from .kit.background import run"),
        ("app/orders.py", "from . import background", "from .kit import background"),
        ("app/orders.py", "from .items.routes import router", "from .items.routes import router"),
        ("app/items/routes.py", "from ..caching.redis import Redis", "from ..kit.caching.redis import Redis"),
        ("app/items/routes.py", "from ..items import models", "from ..items import models"),
        ("app/items/routes.py", "from ..settings import Old", "from ..kit.settings import New as Old"),
        ("app/__init__.py", "from .background import run", "from .kit.background import run"),
    ],
)  # fmt: skip
def test_a_relative_import_leads_to_the_same_module(path: str, before: str, after: str) -> None:
    assert rewritten(before, path) == after


@pytest.mark.parametrize(
    ("source", "listed"),
    [
        ('run("celery -A app.tasks.celery worker")', ["app.tasks.celery"]),
        ('f"app.tasks.{name}"', ["app.tasks"]),
        ('x: "app.database.gate.Gate | None"', ["app.database.gate.Gate"]),
        ('open("tests/caching/none.txt")', ["tests/caching/none.txt"]),
        ('KEY = "app.caching.changed"', ["app.caching.changed"]),
        ('task(name="app.background.run")', ["app.background.run"]),
        ('x = "app.back" "ground.run"', ["app.background.run"]),
        ('x = "app.background\\x2erun"', ["app.background.run"]),
        ("from app.settings import *", ["from app.settings import *"]),
        ("# https://example.com/app/caching", ["//example.com/app/caching"]),
        ("# app.caching.com", ["app.caching.com"]),
        (
            "from app import settings\nsettings = settings or None\nsettings.Base",
            ["settings.Base"],
        ),
    ],
)
def test_what_may_be_a_reference_is_listed(source: str, listed: list[str]) -> None:
    assert unsure(source) == listed


def test_a_file_that_does_not_parse_is_refused() -> None:
    with pytest.raises(references.UnreadableError):
        references.find("from app.caching import (", place("app/orders.py"))


# --- the same behaviour -----------------------------------------------------------------------

OLD_TREE = {
    "app/__init__.py": "",
    "app/background.py": "run = 'background.run'\nBackground = 'background.Background'\n",
    "app/caching/__init__.py": "Cache = 'caching.Cache'\n",
    "app/caching/redis.py": "from . import Cache\n\nRedis = 'redis.' + Cache\n",
    "app/database/__init__.py": "from app.database import gate\n\nReads = 'reads'\n",
    "app/database/gate.py": "Gate = 'gate.Gate'\n",
    "app/items/__init__.py": "thing = 'items.thing'\n",
    "app/items/routes.py": "router = 'items.router'\n",
    "app/settings.py": "Base = 'Base'\nOld = 'Old'\nSettings = 'Settings'\n",
}
NEW_TREE = {
    "app/__init__.py": "",
    "app/kit/__init__.py": "",
    "app/kit/background.py": OLD_TREE["app/background.py"],
    "app/kit/caching/__init__.py": OLD_TREE["app/caching/__init__.py"],
    "app/kit/caching/redis.py": OLD_TREE["app/caching/redis.py"],
    "app/kit/database/__init__.py": "from app.kit import limits as gate\n\nReads = 'reads'\n",
    "app/kit/limits.py": OLD_TREE["app/database/gate.py"],
    "app/items/__init__.py": OLD_TREE["app/items/__init__.py"],
    "app/items/routes.py": OLD_TREE["app/items/routes.py"],
    "app/kit/settings.py": "Base = 'Base'\nNew = 'Old'\n",
    "app/settings.py": "from app.kit.settings import Base as _Base\n\nSettings = 'Settings'\n",
}
# An import, and what is then to be seen.
FORMS = [
    ("import app.background", "app.background.run"),
    ("import app.background as {x}", "{x}.Background"),
    ("import app.caching.redis", "app.caching.redis.Redis + app.caching.Cache"),
    ("import app.items, app.caching", "app.items.thing + app.caching.Cache"),
    ("import app.database", "app.database.gate.Gate + app.database.Reads"),
    ("from app import background as {x}", "{x}.run"),
    ("from app import (\n{i}    background,\n{i}    items,  # why\n{i})", "background.run + items.thing"),
    ("from app import settings as {x}", "{x}.Base + {x}.Settings + {x}.Old"),
    ("from app.background import run as {x}", "{x}"),
    ("from app.caching import redis as {x}, Cache", "{x}.Redis + Cache"),
    ("from app.database import gate as {x}, Reads", "{x}.Gate + Reads"),
    ("from app.settings import Old as {x}, Settings", "{x} + Settings"),
    ("from app.settings import Base, Old", "Base + Old"),
    ("from .background import run as {x}", "{x}"),
    ("from . import caching, items", "caching.Cache + items.thing"),
    ("from .database.gate import Gate as {x}", "{x}"),
    ("from importlib import import_module", 'import_module("app.caching.redis").Redis'),
    ("from pkgutil import resolve_name", 'resolve_name("app.database.gate:Gate")'),
    ("import sys, app.background", 'sys.modules["app.background"].run'),
    ("from app.items import routes as {x}", "{x}.router"),
]  # fmt: skip


def a_module(seed: int) -> str:
    """Return a module with imports in many places, and a `result` that shows what they led to."""
    chance = random.Random(seed)  # noqa: S311
    lines, results = ["from typing import TYPE_CHECKING", ""], []
    for number, (statement, value) in enumerate(chance.sample(FORMS, 6)):
        names = {"x": f"x{number}", "i": ""}
        where = chance.choice(["top", "function", "try", "method", "if"])
        indent = {"top": "", "method": "        "}.get(where, "    ")
        names["i"] = indent
        body = f"{indent}{statement.format(**names)}  # line {number}"
        shown = value.format(**names)
        if where == "top":
            lines += [body]
            results += [shown]
        elif where == "try":
            lines += ["try:", body, "except ImportError:", "    raise"]
            results += [shown]
        elif where == "if":
            lines += ["if not TYPE_CHECKING:", body]
            results += [shown]
        elif where == "function":
            lines += [f"def f{number}():", body, f"    return {shown}", ""]
            results += [f"f{number}()"]
        else:
            lines += [
                f"class C{number}:",
                "    def get(self):",
                body,
                f"        return {shown}",
                "",
            ]
            results += [f"C{number}().get()"]
    lines += ["", f"result = [{', '.join(results)}]"]
    return chance.choice(["\n", "\r\n"]).join([*lines, ""])


SHOW = """
import importlib, json, pathlib
names = sorted(path.stem for path in pathlib.Path("app").glob("made*.py"))
print(json.dumps({name: importlib.import_module(f"app.{name}").result for name in names}))
"""


def results_of(
    folder: Path, tree: Mapping[str, str], modules: Mapping[str, str]
) -> dict[str, list[str]]:
    for path, text in {**tree, **modules}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown: dict[str, list[str]] = json.loads(done.stdout)
    return shown


def test_any_mix_of_imports_gives_the_same_objects_after_the_move(tmp_path: Path) -> None:
    made = {f"app/made{seed}.py": a_module(seed) for seed in range(150)}
    after = {path: rewritten(text, path) for path, text in made.items()}

    before = results_of(tmp_path / "old", OLD_TREE, made)
    assert results_of(tmp_path / "new", NEW_TREE, after) == before
    assert len(before) == len(made)
    for path, text in made.items():
        comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
        for comment in comments:
            assert comment in after[path]
        assert ("\r\n" in text) == ("\r\n" in after[path])


# --- references in texts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("command: [celery, -A, app.tasks.celery, worker]", "command: [celery, -A, app.kit.jobs.celery.celery, worker]"),
        ("CMD python -m app.tasks.celery", "CMD python -m app.kit.jobs.celery.celery"),
        ("ExecStart=/srv/bin/python -m app.background", "ExecStart=/srv/bin/python -m app.kit.background"),
        ('entry = "app.tasks.celery:app"', 'entry = "app.kit.jobs.celery.celery:app"'),
        ('module = ["app.caching.*"]', 'module = ["app.kit.caching.*"]'),
        ('"app/caching/*" = ["S101"]', '"app/kit/caching/*" = ["S101"]'),
        ("COPY ./app/caching/ /x/", "COPY ./app/kit/caching/ /x/"),
        ("Look at `app/caching/redis.py`.", "Look at `app/kit/caching/redis.py`."),
        ("Look at app.caching.redis.", "Look at app.kit.caching.redis."),
        ("pytest tests/caching tests/test_health.py::test_x", "pytest tests/kit/caching tests/kit/web/test_health.py::test_x"),
        ("--config gunicorn.conf.py", "--config deploy/gunicorn.conf.py"),
        ("${app.database.gate}", "${app.kit.limits}"),
        ("`from app import background, caching`", "`from app.kit import background, caching`"),
        ("`from app.caching import redis`", "`from app.kit.caching import redis`"),
        # What is something else.
        ("app.kubernetes.io/name: shop", "app.kubernetes.io/name: shop"),
        ("myapp.caching app.cachings app-caching", "myapp.caching app.cachings app-caching"),
        ("app/cachings/x.py xapp/caching app/caching-old", "app/cachings/x.py xapp/caching app/caching-old"),
        ("@app.tasks", "@app.tasks"),
        ("other.gunicorn.conf.py my/gunicorn.conf.pyc", "other.gunicorn.conf.py my/gunicorn.conf.pyc"),
    ],
)  # fmt: skip
def test_a_text_names_what_moved_by_its_new_name(before: str, after: str) -> None:
    assert rewritten(before, "compose.yml") == after


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("docs/guide.md", "[x](../app/caching/redis.py)", "[x](../app/kit/caching/redis.py)"),
        ("docs/guide.md", "[x](../app/main.py)", "[x](../app/main.py)"),
        ("tests/caching/notes.md", "[x](../../app/main.py)", "[x](../../../app/main.py)"),
        ("app/caching/README.md", "[x](../database/gate.py)", "[x](../limits.py)"),
    ],
)
def test_a_relative_path_leads_to_the_same_file(path: str, before: str, after: str) -> None:
    assert rewritten(before, path) == after


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("COPY x /srv/app/caching/redis.py", ["/srv/app/caching/redis.py"]),
        ("https://example.com/blob/app/caching", ["//example.com/blob/app/caching"]),
        ("name: app.caching.unknown", ["app.caching.unknown"]),
        ("from app import items, background", ["from app import items, background"]),
    ],
)
def test_what_may_be_a_reference_in_a_text_is_listed(text: str, listed: list[str]) -> None:
    assert unsure(text, "compose.yml") == listed


# --- a merge ----------------------------------------------------------------------------------

PYPROJECT = """\
[tool.ruff]
line-length = 100
"""
CACHING = """\
from app.background import run
from app.settings import name


def cached() -> str:
    return run(name)


def one() -> int:
    return 1


def two() -> int:
    return 2
"""
BASE = {
    FILE: "_commit: v1\n",
    "pyproject.toml": PYPROJECT,
    "compose.yml": "command: [python, -m, app.caching]\n",
    "app/__init__.py": "",
    "app/background.py": "def run(text: str) -> str:\n    return text\n",
    "app/caching/__init__.py": CACHING,
    "app/caching/redis.py": "from app.caching import cached\n\nredis = cached\n",
    "app/main.py": "from app import settings\nfrom app.caching import cached\n\nprint(cached, settings)\n",
    "app/settings.py": 'name = "shop"\n',
    "tests/__init__.py": "",
    "tests/test_caching.py": "from app.caching import cached\n\n\ndef test_it() -> None:\n    assert cached()\n",
}
NEW = {
    FILE: "_commit: v2\n",
    "pyproject.toml": PYPROJECT,
    "compose.yml": "command: [python, -m, app.kit.caching]\n",
    "app/__init__.py": "",
    "app/kit/__init__.py": "",
    "app/kit/background.py": BASE["app/background.py"],
    "app/kit/caching/__init__.py": CACHING.replace("app.background", "app.kit.background").replace(
        "return 2", "return 3"
    ),
    "app/kit/caching/redis.py": "from app.kit.caching import cached\n\nredis = cached\n",
    "app/main.py": "from app import settings\nfrom app.kit.caching import cached\n\nprint(cached, settings)\n",
    "app/settings.py": BASE["app/settings.py"],
    "tests/__init__.py": "",
    "tests/kit/__init__.py": "",
    "tests/kit/test_caching.py": BASE["tests/test_caching.py"].replace(
        "app.caching", "app.kit.caching"
    ),
}
LIST = Changes(
    modules={"app.background": "app.kit.background", "app.caching": "app.kit.caching"},
    paths={"tests/test_caching.py": "tests/kit/test_caching.py"},
)


@dataclass
class Followed:
    """What a merge makes of a project."""

    merge: Merge
    files: dict[str, str]

    @property
    def conflicts(self) -> list[str]:
        return [conflict.path for conflict in self.merge.undecided()]


Merges = Callable[..., Followed]


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Merges]:
    """Merge a release with moves into a project after its user's edits."""
    with ExitStack() as stack:

        def run(
            edit: Callable[[Project], object] = lambda _: None,
            base: Mapping[str, str] = BASE,
            new: Mapping[str, str] = NEW,
            listed: Changes = LIST,
        ) -> Followed:
            shop = Project(tmp_path / "shop")
            for path, text in base.items():
                shop.write(path, text)
            shop.git("init", "-q")
            shop.commit("new")
            edit(shop)
            shop.commit("mine") if shop.git("status", "--porcelain") else None
            for name, contents in (("old", base), ("new", new)):
                for path, text in contents.items():
                    Project(tmp_path / name).write(path, text)
            found = stack.enter_context(
                merged(
                    repository.find(shop.folder),
                    tmp_path / "old",
                    tmp_path / "new",
                    "new",
                    moves_of(listed),
                )
            )
            tree = found.scratch.files("merged")
            blobs = found.scratch.contents(entry.oid for entry in tree.values())
            texts = {path: blobs[entry.oid].decode("latin-1") for path, entry in tree.items()}
            return Followed(found, texts)

        yield run


def writes(path: str, text: str) -> Callable[[Project], object]:
    return lambda shop: shop.write(path, text)


def test_without_edits_a_move_gives_the_new_release(follow: Merges) -> None:
    done = follow()

    assert done.files == NEW
    assert done.conflicts == []
    assert done.merge.moved.rewritten == []
    assert len(done.merge.moved.moved) == 4


def test_edits_of_a_file_that_moves_stay(follow: Merges) -> None:
    done = follow(lambda shop: shop.replace("app/caching/__init__.py", "return 1", "return 10"))

    assert done.conflicts == []
    assert "app/caching/__init__.py" not in done.files
    text = done.files["app/kit/caching/__init__.py"]
    assert "return 10" in text
    assert "return 3" in text
    assert "from app.kit.background import run" in text
    assert done.merge.moved.rewritten == ["app/kit/caching/__init__.py"]


def test_edits_that_leave_little_of_a_file_stay_too(follow: Merges) -> None:
    """Git finds a rename in files that are alike; these are not."""
    mine = "from app.background import run\n\nmine = [run] * 100\n"
    base = {**BASE, "app/caching/redis.py": "x = 1\n" * 50}
    new = {**NEW, "app/kit/caching/redis.py": "x = 1\n" * 50}
    done = follow(writes("app/caching/redis.py", mine), base, new)

    assert done.conflicts == []
    assert done.files["app/kit/caching/redis.py"] == mine.replace("app.", "app.kit.")


OWN = {
    "app/orders/__init__.py": "",
    "app/orders/routes.py": "from app.caching.redis import redis\nfrom app.settings import name\n\nprint(name, redis)\n",
    "migrations/versions/0001_mine.py": '"""Mine."""\n\nfrom app.background import run\n\nprint(run)\n',
    "tests/orders/test_orders.py": 'def test_it(monkeypatch) -> None:\n    monkeypatch.setattr("app.background.run", None)\n',
    "deploy/mine.service": "ExecStart=/venv/bin/python -m app.caching.redis\n",
    "docs/mine.md": "See [caching](../app/caching/redis.py).\n",
}


def test_what_the_user_built_on_it_follows(follow: Merges) -> None:
    done = follow(lambda shop: [shop.write(path, text) for path, text in OWN.items()])

    assert done.conflicts == []
    assert done.merge.broken == []
    for path, text in OWN.items():
        assert done.files[path] == text.replace("app.caching", "app.kit.caching").replace(
            "app.background", "app.kit.background"
        ).replace("app/caching", "app/kit/caching")
    assert done.merge.moved.rewritten == sorted(set(OWN) - {"app/orders/__init__.py"})


def test_a_file_that_the_user_added_to_a_folder_that_moves_goes_along(follow: Merges) -> None:
    def edit(shop: Project) -> None:
        shop.write("app/caching/mine.py", "from .redis import redis\nfrom ..settings import name\n")
        shop.write("app/orders.py", "from app.caching.mine import name\n")
        (shop.folder / "app/caching/logo.png").write_bytes(b"\0app/caching")

    done = follow(edit)

    assert done.files["app/kit/caching/mine.py"] == (
        "from .redis import redis\nfrom ...settings import name\n"
    )
    assert done.files["app/orders.py"] == "from app.kit.caching.mine import name\n"
    assert done.files["app/kit/caching/logo.png"] == "\0app/caching"
    assert not [path for path in done.files if path.startswith("app/caching")]
    assert done.merge.broken == []


def test_what_the_user_deleted_stays_deleted(follow: Merges) -> None:
    def edit(shop: Project) -> None:
        shop.git("rm", "-q", "app/caching/redis.py", "tests/test_caching.py")

    new = {**NEW, "app/kit/caching/redis.py": "changed = 1\n"}
    done = follow(edit, new=new)

    assert done.conflicts == []
    assert not {"app/kit/caching/redis.py", "tests/kit/test_caching.py"} & done.files.keys()
    assert done.merge.left_deleted == ["app/kit/caching/redis.py"]


def test_what_the_user_renamed_stays_renamed(follow: Merges) -> None:
    def edit(shop: Project) -> None:
        shop.git("mv", "app/caching/redis.py", "app/caching/valkey.py")
        shop.git("mv", "app/background.py", "app/later.py")
        shop.replace("app/caching/__init__.py", "app.background", "app.later")

    base = {**BASE, "app/background.py": BASE["app/background.py"] + "\n\nMORE = 1\n" * 3}
    new = {**NEW, "app/kit/background.py": base["app/background.py"] + "NEW = 1\n"}
    done = follow(edit, base, new)

    assert done.conflicts == []
    assert "app/kit/caching/valkey.py" in done.files
    assert "NEW = 1" in done.files["app/later.py"]
    assert not {"app/kit/background.py", "app/kit/caching/redis.py"} & done.files.keys()
    assert "from app.later import run" in done.files["app/kit/caching/__init__.py"]
    assert done.merge.renamed == {
        "app/background.py": "app/later.py",
        "app/caching/redis.py": "app/caching/valkey.py",
    }


def test_a_module_of_the_users_own_does_not_move(follow: Merges) -> None:
    """The list names what other answers bring, too."""
    listed = Changes(modules={**LIST.modules, "app.outbound": "app.kit.outbound"})

    def edit(shop: Project) -> None:
        shop.write("app/outbound.py", "mine = 1\n")
        shop.write("app/orders.py", "from app.outbound import mine\n")

    done = follow(edit, listed=listed)

    assert done.files["app/outbound.py"] == "mine = 1\n"
    assert done.files["app/orders.py"] == "from app.outbound import mine\n"


def test_a_file_in_the_way_is_refused(follow: Merges) -> None:
    with pytest.raises(NotReadyError, match=r"^app/kit/background\.py is where app/background\.py"):
        follow(writes("app/kit/background.py", "mine = 1\n"))


def test_a_file_where_a_folder_comes_is_refused(follow: Merges) -> None:
    with pytest.raises(NotReadyError, match=r"^app/kit is in the way of app/kit/background\.py"):
        follow(writes("app/kit", "mine\n"))


def test_a_module_may_become_a_package_and_a_package_a_module(follow: Merges) -> None:
    more = "\n\nA = 1\nB = 1\n"
    base = {**BASE, "app/background.py": BASE["app/background.py"] + more}
    new = {**NEW, "app/kit/background/__init__.py": base["app/background.py"] + "NEW = 1\n"}
    new["app/kit/caching.py"] = new.pop("app/kit/caching/__init__.py")
    del new["app/kit/background.py"], new["app/kit/caching/redis.py"]

    def edit(shop: Project) -> None:
        shop.replace("app/background.py", "return text", "return text + text")
        shop.replace("app/caching/__init__.py", "return 1", "return 10")

    done = follow(edit, base, new)

    assert done.conflicts == []
    assert done.merge.moved.moved["app/background.py"] == "app/kit/background/__init__.py"
    assert done.merge.moved.moved["app/caching/__init__.py"] == "app/kit/caching.py"
    assert "return text + text" in done.files["app/kit/background/__init__.py"]
    assert "NEW = 1" in done.files["app/kit/background/__init__.py"]
    assert "return 10" in done.files["app/kit/caching.py"]


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_modes_and_links_move_too(follow: Merges, mode: int) -> None:
    def edit(shop: Project) -> None:
        (shop.folder / "app/caching/redis.py").chmod(mode)
        (shop.folder / "app/caching/link").symlink_to("redis.py")

    done = follow(edit)
    tree = done.merge.scratch.files("merged")

    assert tree["app/kit/caching/redis.py"].mode == f"100{mode:o}"
    assert tree["app/kit/caching/link"].mode == "120000"


def test_files_that_ruff_accepts_are_accepted_afterwards(follow: Merges) -> None:
    text = "from app.caching import cached\nfrom app.settings import name\n\nprint(cached, name)\n"
    order = (  # `app.settings` sorts behind `app.kit`, and `app.background` before it
        "from app.background import run\nfrom app.database import x\n\nprint(run, x)\n"
    )
    name = "a" * 66
    long = f"from app.background import {name}, run\n\nprint(run, {name})\n"
    done = follow(
        lambda shop: [
            shop.write("app/one.py", text),
            shop.write("app/two.py", order),
            shop.write("app/three.py", long),
            shop.write(
                "app/four.py", "import sys\nimport os\nfrom app.caching import x\nprint( x)\n"
            ),
        ]
    )

    assert done.files["app/two.py"] == (
        "from app.database import x\nfrom app.kit.background import run\n\nprint(run, x)\n"
    )
    assert done.files["app/three.py"].startswith(
        f"from app.kit.background import (\n    {name},\n    run,\n)\n"
    )
    # What was in no order keeps its layout.
    assert done.files["app/four.py"] == (
        "import sys\nimport os\nfrom app.kit.caching import x\nprint( x)\n"
    )


@pytest.mark.parametrize("clean", [True, False])
def test_imports_that_both_added_are_in_order_if_the_users_were(
    follow: Merges, clean: bool
) -> None:
    one = '"""One."""\n\nfrom app.settings import name\n\nprint(name)\n'
    mine = one.replace("name\n\n", "name\nfrom app.tiger import tiger\n\n", 1)
    theirs = one.replace("name\n\n", "name\nfrom app.zebra import zebra\n\n", 1)
    mine += "" if clean else "print( name)\n"
    done = follow(
        writes("app/one.py", mine), {**BASE, "app/one.py": one}, {**NEW, "app/one.py": theirs}
    )
    lines = done.files["app/one.py"].splitlines()

    assert done.conflicts == []
    assert sorted(lines[2:5]) == [
        "from app.settings import name",
        "from app.tiger import tiger",
        "from app.zebra import zebra",
    ]
    assert ("print( name)" in lines) is not clean
    if clean:
        assert lines[2:5] == sorted(lines[2:5])


def test_the_users_own_settings_of_ruff_count(follow: Merges) -> None:
    short = "from app.background import (\n    run,\n    run as other,\n)\n\nprint(run, other)\n"

    def edit(shop: Project) -> None:
        shop.write("pyproject.toml", "[tool.ruff]\nline-length = 20\n")
        shop.write("app/one.py", short)

    done = follow(edit)

    assert done.files["app/one.py"] == short.replace("app.background", "app.kit.background")


def test_settings_that_ruff_refuses_leave_the_layout(follow: Merges) -> None:
    def edit(shop: Project) -> None:
        shop.write("pyproject.toml", "[tool.ruff]\nextend = '../nowhere.toml'\n")
        shop.write("app/one.py", "from app.background import run\nfrom app.database import x\n")

    done = follow(edit)

    assert done.files["app/one.py"].startswith("from app.kit.background import run\n")


def test_what_cannot_be_read_is_left_as_it_is(follow: Merges) -> None:
    def edit(shop: Project) -> None:
        shop.write("app/broken.py", "from app.background import (\n")
        (shop.folder / "notes.txt").write_bytes("app/caching/redis.py é".encode("latin-1"))
        (shop.folder / "latin.py").write_bytes(
            "# -*- coding: latin-1 -*-\nimport app.caching  # é\n".encode("latin-1")
        )
        shop.write("CHANGELOG.md", "app/caching/redis.py is new\n")
        shop.write("uv.lock", "app/caching/redis.py\n")

    done = follow(edit)

    assert done.files["app/broken.py"] == "from app.background import (\n"
    assert done.merge.moved.unreadable == ["app/broken.py", "latin.py"]
    assert done.files["notes.txt"] == "app/caching/redis.py é"
    assert done.files["CHANGELOG.md"] == "app/caching/redis.py is new\n"
    assert done.files["uv.lock"] == "app/caching/redis.py\n"


def test_what_is_unsure_is_listed_with_its_line(follow: Merges) -> None:
    """What the template's own files have is for the template to mend."""
    text = "FROM x\nCOPY . /srv\nRUN cat /srv/app/caching/redis.py\n"
    script = {"run.sh": "cat /srv/app/caching/redis.py\n"}
    done = follow(writes("Dockerfile", text), {**BASE, **script}, {**NEW, **script})

    assert done.merge.unsure() == ["Dockerfile:3: /srv/app/caching/redis.py"]
    assert done.files["Dockerfile"] == text


def test_a_byte_order_mark_and_line_ends_stay(follow: Merges) -> None:
    done = follow(writes("app/one.py", "\ufefffrom app.background import run\r\nprint(run)\r\n"))

    text = done.files["app/one.py"].encode("latin-1")
    assert text == "\ufefffrom app.kit.background import run\r\nprint(run)\r\n".encode()


def test_what_both_changed_is_a_conflict_at_the_new_place(follow: Merges) -> None:
    done = follow(lambda shop: shop.replace("app/caching/__init__.py", "return 2", "return 20"))

    assert done.conflicts == ["app/kit/caching/__init__.py"]
    assert set(done.merge.conflicts["app/kit/caching/__init__.py"]) == {1, 2, 3}


# --- whole updates ----------------------------------------------------------------------------

COPIER = """\
_subdirectory: template
_exclude:
  - "{% if not use_tasks | default(true) %}app/tasks.py{% endif %}"
  - "{% if not use_tasks | default(true) %}app/kit/tasks.py{% endif %}"
name:
  type: str
  help: The name.
tasks:
  type: str
  help: Jobs.
  choices: {Nothing: none, Celery: celery}
  default: none
use_tasks:
  type: bool
  default: "{{ tasks == 'celery' }}"
  when: false
"""
ANSWERS = "{{ _copier_conf.answers_file }}.jinja"
TEMPLATE = {
    ANSWERS: "# Written by Copier.\n{{ _copier_answers | to_nice_yaml }}",
    **{path: text for path, text in BASE.items() if path != FILE},
    "app/tasks.py": "from app.background import run\n\nwork = run\n",
}
FIRST = """\
modules:
  app.background: app.kit.background
  app.caching: app.kit.caching
  app.tasks: app.kit.tasks
names: {}
notes:
  - text: Look at your
      settings.
  - for: use_tasks
    text: Restart the workers.
"""
SECOND = """\
modules:
  app.kit.caching: app.kit.stores
names:
  app.kit.background.run: app.kit.later.later
paths:
  tests/test_caching.py: tests/kit/test_stores.py
removed: [app/kit/background.py]
notes:
  - for: use_tasks
    text: Drain the queue.
"""


def renamed(texts: Mapping[str, str], *pairs: tuple[str, str]) -> dict[str, str]:
    """Return texts with words replaced in paths and in contents."""
    found = dict(texts)
    for old, new in pairs:
        folder, new_folder = old.replace(".", "/"), new.replace(".", "/")
        found = {
            path.replace(folder, new_folder): text.replace(old, new) for path, text in found.items()
        }
    return found


SECOND_TEMPLATE = {
    **renamed(
        TEMPLATE,
        ("app.background", "app.kit.background"),
        ("app.caching", "app.kit.caching"),
        ("app.tasks", "app.kit.tasks"),
    ),
    "app/kit/__init__.py": "",
}
THIRD_TEMPLATE = {
    **renamed(
        {p: t for p, t in SECOND_TEMPLATE.items() if p != "app/kit/background.py"},
        ("from app.kit.background import run", "from app.kit.later import later as run"),
        ("app.kit.caching", "app.kit.stores"),
        ("tests.test_caching", "tests.kit.test_stores"),
    ),
    "app/kit/later.py": "def later(text: str) -> str:\n    return text\n",
    "tests/kit/__init__.py": "",
}


class Templates:
    """Releases of a small template, in place of the real ones."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "releases").mkdir(parents=True)
        monkeypatch.setattr(releases, "FOLDER", folder / "releases")
        monkeypatch.setattr(releases, "LEDGER", folder / "releases/ledger.json")
        monkeypatch.setattr(releases, "checkout", lambda: None)
        self.ledger: dict[str, str] = {}

    def content(self, version: str, template: Mapping[str, str], listed: str = "") -> bytes:
        root = Project(self.folder / version)
        root.write("copier.yml", COPIER)
        if listed:
            root.write(changes.FILE, listed)
        for path, text in template.items():
            root.write(f"template/{path}", text)
        return releases.pack(root.folder)

    def release(self, version: str, template: Mapping[str, str], listed: str = "") -> None:
        content = self.content(version, template, listed)
        (releases.FOLDER / f"{version}.zip").write_bytes(content)
        self.ledger[version] = hashlib.sha256(content).hexdigest()
        releases.LEDGER.write_text(json.dumps(self.ledger))


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Templates:
    """Three releases, each with moves after the first."""
    made = Templates(tmp_path / "templates", monkeypatch)
    made.release("1.0.0", TEMPLATE)
    made.release("1.1.0", SECOND_TEMPLATE, FIRST)
    made.release("1.2.0", THIRD_TEMPLATE, SECOND)
    return made


def updated(shop: Project, version: str, *, dry_run: bool = False) -> project.Updated:
    done = project.update(shop.folder, releases.get(version), dry_run=dry_run)
    assert done
    return done


def contents(shop: Project) -> dict[str, str]:
    return {
        path: shop.read(path)
        for path in files(shop.folder)
        if not path.startswith(".git/") and path != FILE
    }


@pytest.mark.parametrize("tasks", ["none", "celery"])
def test_two_releases_at_once_are_one_after_the_other(
    templates: Templates, make_project: Callable[..., Project], tasks: str
) -> None:
    at_once, in_turn, fresh = (
        make_project("1.2.0" if name == "fresh" else "1.0.0", folder=name, tasks=tasks)
        for name in ("once", "turn", "fresh")
    )
    for shop in (at_once, in_turn):
        shop.write(
            "app/orders.py", "from app.background import run\nfrom app.caching import redis\n"
        )
        shop.write("app/caching/mine.py", "mine = 1\n")
        shop.commit()
    assert updated(at_once, "1.2.0").conflicts == []
    for version in ("1.1.0", "1.2.0"):
        assert updated(in_turn, version).conflicts == []
        in_turn.commit()

    own = {
        "app/orders.py": "from app.kit.later import later as run\nfrom app.kit.stores import redis\n",
        "app/kit/stores/mine.py": "mine = 1\n",
    }
    assert contents(at_once) == contents(in_turn) == {**contents(fresh), **own}


def test_notes_are_printed_to_those_whom_they_concern(
    templates: Templates, make_project: Callable[..., Project]
) -> None:
    without, with_tasks = (make_project("1.0.0", folder=t, tasks=t) for t in ("none", "celery"))

    assert updated(without, "1.2.0").notes == ["Look at your settings."]
    assert updated(with_tasks, "1.2.0", dry_run=True).notes == [
        "Look at your settings.",
        "Restart the workers.",
        "Drain the queue.",
    ]
    assert updated(with_tasks, "1.1.0").notes == ["Look at your settings.", "Restart the workers."]


def test_a_dry_run_shows_the_moves_and_touches_nothing(
    templates: Templates,
    make_project: Callable[..., Project],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = make_project("1.0.0")
    shop.write("app/orders.py", "from app.background import run\n")
    shop.write("app/broken.py", "from app.background import (\n")
    shop.write("run.sh", "cat /srv/app/caching/redis.py\n")
    shop.commit()
    before = shop.snapshot()

    done = updated(shop, "1.1.0", dry_run=True)
    report.updated(done, shop.folder, dry_run=True)

    assert shop.snapshot() == before
    printed = capsys.readouterr().out
    assert "rename from app/background.py\nrename to app/kit/background.py\n" in printed
    assert "-from app.background import run\n+from app.kit.background import run\n" in printed
    assert "3 files moved; references to what moved were rewritten in 1 file of yours.\n" in printed
    assert "look at each:\n  run.sh:1: /srv/app/caching/redis.py\n" in printed
    assert "cannot parse these, so what moved has its old name there" in printed
    assert "mend them by hand:\n  app/broken.py\n" in printed
    assert "To do by hand:\n  Look at your settings.\n" in printed
    assert "Would change 9 files; nothing was written.\n" in printed


def test_a_move_is_taken_back_whole(
    templates: Templates, make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_project("1.0.0")
    before = contents(shop)
    updated(shop, "1.2.0")
    assert shop.version() == "v1.2.0"
    assert contents(shop) != before

    shop.git("reset", "-q", "--hard")

    assert contents(shop) == before
    assert shop.git("status", "--porcelain") == ""


def test_a_change_within_a_release_moves_nothing(
    templates: Templates, make_project: Callable[..., Project]
) -> None:
    shop = make_project("1.1.0")
    shop.write("app/tasks.py", "mine = 1\n")
    shop.commit()

    done = project.change(shop.folder, ["tasks=celery"], dry_run=False)

    assert done
    assert done.moved == {}
    assert done.notes == []
    assert shop.read("app/tasks.py") == "mine = 1\n"


# --- the list itself --------------------------------------------------------------------------


def test_lists_of_releases_become_one() -> None:
    moves = composed(
        [
            Changes(modules={"a.x": "a.kit.x", "a.y": "a.z"}, paths={"t/x.txt": "t/kit/x.txt"}),
            Changes(
                modules={"a.kit.x.deep": "a.deep", "a.z": "a.kit.z"},
                names={"a.kit.x.f": "a.kit.g"},
                paths={"t/kit": "k"},
            ),
            Changes(modules={"a.deep": "a.kit.deep"}, names={"a.kit.g": "a.kit.z.h"}),
        ]
    )

    for old, new in {
        "a.x": "a.kit.x",
        "a.x.other": "a.kit.x.other",
        "a.x.f": "a.kit.z.h",
        "a.x.deep.thing": "a.kit.deep.thing",
        "a.y": "a.kit.z",
        "a.xy": "a.xy",
    }.items():
        assert moves.name(old) == new
    assert "a.x.f" in moves.names
    assert moves.path("a/x/deep/data.json") == "a/kit/deep/data.json"
    assert moves.path("a/y.py") == "a/kit/z.py"
    assert moves.path("t/x.txt") == "k/x.txt"


def test_what_changed_places_is_looked_up_once() -> None:
    swap = Changes(modules={"a.x": "a.y", "a.y": "a.x"})

    assert moves_of(swap).name("a.x.f") == "a.y.f"
    assert composed([swap, swap]).name("a.x.f") == "a.x.f"
    assert composed([swap, Changes(modules={"a.y": "a.z"})]).name("a.x") == "a.z"


def test_a_later_release_moves_what_is_there_then() -> None:
    """A module of the old name that came in between is another one."""
    moves = composed(
        [Changes(modules={"a.x": "a.y"}), Changes(modules={"a.x.sub": "a.sub", "a.x": "a.w"})]
    )

    assert moves.name("a.x") == "a.y"
    assert moves.name("a.x.sub") == "a.y.sub"
    assert moves.path("a/x/sub.py") == "a/y/sub.py"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("modules: [a]\n", "must be lines of"),
        ("modules: {a.b: a-b}\n", "cannot have 'a-b'"),
        ("modules: {a.b: 1}\n", "cannot have 1"),
        ("modules: {a.b: a.c, a.d: a.c}\n", "two lines that end in a.c"),
        ("names: {a: a.b}\n", "cannot have 'a'"),
        ("paths: {/etc/passwd: x}\n", "cannot have '/etc/passwd'"),
        ("paths: {x: ../x}\n", "cannot have '../x'"),
        ("removed: [../x]\n", "cannot have '../x'"),
        ("notes: [{for: use_x}]\n", "has a `text`"),
        ("notes: [{text: x, to: y}]\n", "has a `text`"),
        ("moduls: {}\n", "has no part 'moduls'"),
        ("modules: {a.b: a.c, a.b: a.d}\n", "a key stands there twice"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ChangesError, match=complaint):
        changes.read(text)


@pytest.mark.parametrize(
    ("listed", "complaint"),
    [
        ("modules: {app.nowhere: app.kit.caching}", "modules: the release before has no app.nowhere."),
        ("modules: {app.caching: app.kit.nowhere}", "modules: the template has no app.kit.nowhere."),
        ("paths: {tests/nowhere.py: tests/test_caching.py}", "paths: the release before has no tests/nowhere.py."),
        ("paths: {tests/test_caching.py: tests/kit/no.py}", "paths: the template has no tests/kit/no.py."),
        ("names: {app.settings.none: app.settings.name}", "names: the release before has no app.settings.none."),
        ("names: {app.settings.name: app.kit.none}", "names: the template has no app.kit.none."),
        ("removed: [app/none.py]", "removed: the release before has no app/none.py."),
        ("removed: [app/main.py]", "removed: the template still has app/main.py."),
        ("notes: [{for: use_nothing, text: x}]", "notes: copier.yml derives no switch use_nothing."),
        ("modules: {}", "app/background.py left the template: list where it is now, or that it is removed."),
        ("modules: {app.background: app.kit.caching.background}", "app/background.py becomes app/kit/caching/background.py, which the template has not: list where it is now."),
    ],
)  # fmt: skip
def test_a_list_that_is_not_true_is_refused_at_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, complaint: str
) -> None:
    made = Templates(tmp_path / "templates", monkeypatch)
    made.release("1.0.0", TEMPLATE)
    content = made.content("1.1.0", SECOND_TEMPLATE, f"{listed}\n")

    assert complaint in releases.complaints(releases.Release("1.1.0", content))


def test_a_list_that_is_true_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Templates(tmp_path / "templates", monkeypatch)
    made.release("1.0.0", TEMPLATE)
    first = made.content("1.1.0", SECOND_TEMPLATE, FIRST)
    assert releases.complaints(releases.Release("1.1.0", first)) == []
    made.release("1.1.0", SECOND_TEMPLATE, FIRST)
    second = made.content("1.2.0", THIRD_TEMPLATE, SECOND)
    assert releases.complaints(releases.Release("1.2.0", second)) == []


def test_the_list_of_the_next_release_is_true() -> None:
    assert releases.complaints(releases.get(releases.DEVELOPMENT)) == []


def test_an_empty_list_says_nothing() -> None:
    assert changes.read(changes.EMPTY) == Changes()


def test_a_damaged_list_in_a_release_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("changes.yml", "modules: [")

    with pytest.raises(RefusedError, match=r"^Release 9\.9\.9: changes\.yml is damaged"):
        _ = releases.Release("9.9.9", content.getvalue()).changes


def test_without_ruff_the_update_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ruff.__main__.find_ruff_bin", lambda: str(tmp_path / "ruff"))
    files = tidying.Files(frozenset({"a.py"}), {}, {"a.py": b"import b\n"})

    with pytest.raises(RefusedError, match=r"^ruff cannot be started"):
        tidying.tidied(files, files, {"a.py": "a.py"})


def test_a_path_that_leads_out_of_a_commit_is_refused(make_project: Callable[..., Project]) -> None:
    lived = make_project("0.1.0")
    blob = lived.git("rev-parse", "HEAD:README.md").strip()
    tree = made(lived, f"100644 blob {blob}\tout")
    outer = made(lived, f"040000 tree {tree}\t..")
    with TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder), repository.find(lived.folder))

        with pytest.raises(git.GitError, match=r"leads out of it: \.\./out"):
            scratch.files(outer)


def made(project: Project, line: str) -> str:
    """Return the tree that git makes of one entry."""
    done = subprocess.run(
        ["git", "mktree"],
        cwd=project.folder,
        input=line,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
