"""From a clone to a served project, and from a wheel to an update without network."""

import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import venv
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from fastperf_new.errors import Exit
from fastperf_new.install import find_uv
from tests.conftest import ROOT
from tests.harness.support import Project, clean_environment, fastperf, free_port, next_commands

# Nothing listens there, and nothing downloaded before is to be found.
OFFLINE = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "UV_HTTP_RETRIES": "0",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the sdist of a shallow clone, in an environment with nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{ROOT}", folder / "clone"], check=True
    )
    build: list[str | Path] = [find_uv(), "build", "-q", "-o", folder / "dist"]
    environment = clean_environment()
    subprocess.run([*build, "--sdist", folder / "clone"], env=environment, check=True)
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    subprocess.run([*build, "--wheel", sdist], env=environment, check=True)
    venv.create(folder / "venv", symlinks=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run(
        [find_uv(), "pip", "install", "-q", "--python", folder / "venv", wheel],
        env=clean_environment(),
        check=True,
    )
    shutil.rmtree(folder / "clone")
    return folder / "venv/bin/fastperf"


def run(installed: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), **OFFLINE, "UV_CACHE_DIR": str(cwd / ".no-cache")}
    return subprocess.run(
        [installed, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_whole_life_of_a_project_without_network(installed: Path, tmp_path: Path) -> None:
    made = run(installed, "new", "shop", "--yes", "--release", "0.1.0", cwd=tmp_path)

    assert made.returncode == Exit.DONE, made.stderr
    assert made.stderr.startswith("warning: The dependencies are not installed: uv sync failed (")
    assert made.stderr.count("\n") == 1
    shop = Project(tmp_path / "shop")
    assert shop.version() == "v0.1.0"
    assert shop.git("log", "--format=%s") == "New project from fastperf-new 0.1.0\n"
    assert shop.git("status", "--porcelain") == ""

    shop.replace("app/items/routes.py", '"""List items, newest', '"""List my items, newest')
    shop.write("app/orders.py", '"""Orders."""\n')
    shop.git("rm", "-q", "tests/items/test_items.py")
    shop.git("mv", "app/errors.py", "app/problems.py")
    for path in ("app/main.py", "app/health.py", "app/items/routes.py", "app/pagination.py"):
        shop.replace(path, "from app.errors import", "from app.problems import")
    shop.commit("my work")

    updated = run(installed, "update", "--release", "0.2.0", cwd=shop.folder)

    assert updated.returncode == Exit.DONE, updated.stdout + updated.stderr
    assert shop.version() == "v0.2.0"
    assert "Compression" in shop.read("app/main.py")
    assert "from app.problems import" in shop.read("app/main.py")
    assert "OperationalError" in shop.read("app/problems.py")  # followed the renamed file
    assert '"""List my items, newest' in shop.read("app/items/routes.py")
    assert shop.read("app/orders.py") == '"""Orders."""\n'
    assert not (shop.folder / "app/errors.py").exists()
    assert not (shop.folder / "tests/items/test_items.py").exists()
    shop.commit("update")

    changed = run(installed, "change", "example=no", cwd=shop.folder)

    # The user's edit of a file that goes away is the one thing to decide.
    assert changed.returncode == Exit.CONFLICTS
    assert "  app/items/routes.py\n" in changed.stdout
    assert (shop.folder / "app/orders.py").exists()
    assert (shop.folder / "migrations/versions/0001_items.py").exists()
    shop.git("rm", "-q", "app/items/routes.py")
    shop.commit("without the example")
    assert not (shop.folder / "app/items").exists()


def test_what_is_printed_after_a_change_installs_what_it_needs(tmp_path: Path) -> None:
    fastperf("new", "shop", "--yes", "--release", "0.5.1", cwd=tmp_path)
    shop = Project(tmp_path / "shop")

    (sync,) = (
        line for line in next_commands(shop.run("change", "cache=redis").stdout) if "sync" in line
    )
    environment = clean_environment()
    subprocess.run(shlex.split(sync), cwd=shop.folder, env=environment, check=True)

    locked = [find_uv(), "sync", "--locked", "--offline"]
    subprocess.run(locked, cwd=shop.folder, env=environment, check=True)
    subprocess.run([shop.folder / ".venv/bin/python", "-c", "import hiredis"], check=True)


def test_the_sdist_holds_what_the_tests_need(installed: Path) -> None:
    (sdist,) = (installed.parents[2] / "dist").glob("*.tar.gz")
    listed = subprocess.run(
        ["tar", "-tzf", sdist], capture_output=True, text=True, check=True
    ).stdout
    for path in ("copier.yml", "template/app/database/gate.py", "tests/test_cli.py", "LICENSE"):
        assert f"/{path}\n" in listed
    (wheel,) = sdist.parent.glob("*.whl")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True
    ).stdout
    for path in (
        "fastperf_new/releases/0.1.0.zip",
        "fastperf_new/releases/ledger.json",
        "fastperf_new/py.typed",
    ):
        assert path in listed


def test_the_first_command_of_the_readme(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    commands = [
        block.strip()
        for block in (clone / "README.md").read_text("utf-8").split("```console")[1:3]
        for block in [block.split("```")[0]]
    ]
    assert commands == ["make try", "make test"]
    port = free_port()
    # No uv, no virtual environment: what Debian has.
    environment = {**clean_environment(), "PATH": "/usr/local/bin:/usr/bin:/bin", "PORT": str(port)}
    log = tmp_path / "log"
    with log.open("wb") as output:
        made = subprocess.Popen(
            ["make", "try"],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 300
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while True:
                try:
                    client.get("/health/ready").raise_for_status()
                    break
                except httpx2.TransportError:
                    assert made.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.5)
            assert f"http://127.0.0.1:{port}" in log.read_text()
            item = client.post("/items", json={"name": "tea"}).json()
            assert client.get(f"/items/{item['id']}").json() == item
            assert client.get("/items?limit=1").json()["results"] == [item]
        with closing(sqlite3.connect(clone / "build/shop/data.db")) as connection, connection:
            assert connection.execute("SELECT name FROM items").fetchall() == [("tea",)]
    finally:
        os.killpg(made.pid, signal.SIGTERM)
        made.wait(20)
    assert (clone / "build/shop/uv.lock").exists()
    assert Project(clone / "build/shop").git("status", "--porcelain") == ""
