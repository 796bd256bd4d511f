"""What several workers counted, and those that are no more."""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from app.metrics.exposition import DEAD
from app.metrics.files import CHOSEN, LOCK, PREFIX, VARIABLE

ROOT = Path(__file__).parents[2]

# A worker: counts requests, and says what all have counted.
COUNT = """
import sys
from app.metrics.exposition import exposition
from prometheus_client import Histogram
seconds = Histogram("seconds", "Seconds.", ["route"])
for _ in range(int(sys.argv[1])):
    seconds.labels("/").observe(0.002)
print(exposition().decode(), end="", flush=True)
"""


@pytest.fixture(autouse=True)
def _as_a_worker_is_started(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """Workers find the service, but no `.env`, and the database of the tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DATABASE_URL", database_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that a worker has been given."""
    folder = tmp_path / f"{PREFIX}1"
    folder.mkdir()
    return folder


def count(times: int, folder: Path, before: str = "") -> str:
    """Run a worker until it ends, and return what it said of all."""
    return subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", before + COUNT, str(times)],
        env={**os.environ, VARIABLE: str(folder), CHOSEN: str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def total(exposition: str) -> float:
    """Return how many all have counted."""
    found = re.search(r"^seconds_count\{.*\} (\S+)$", exposition, re.MULTILINE)
    assert found
    return float(found[1])


def test_the_dead_are_counted_and_leave_no_files(folder: Path) -> None:
    said = [total(count(times, folder)) for times in (1, 10, 100)]

    assert said == [1, 11, 111]
    assert len(list(folder.glob("histogram_*.db"))) == 2  # the last one's, and that of all before


def test_each_worker_has_its_memory_and_together_they_have_their_collections(
    folder: Path,
) -> None:
    collect = "import gc\nfrom app.metrics.processes import count_collections\n"
    collect += "gc.collect(2)\ncount_collections()\n"
    count(1, folder, collect)
    (folder / f"counter_{os.getpid()}.db").touch()  # another one that lives
    MmapedDict(str(folder / f"counter_{os.getpid()}.db")).close()

    said = count(1, folder, collect)

    assert len(re.findall(r'^process_resident_memory_bytes\{pid="\d+"\} [1-9]', said, re.M)) == 2
    assert f'pid="{os.getpid()}"' in said
    assert re.search(r'^python_gc_collections_total\{generation="2"\} [2-9]', said, re.M)
    assert re.search(r"^python_info\{.*\} 1", said, re.M)


@pytest.mark.parametrize("pid", ["999999999", DEAD])
def test_a_file_without_content_is_nobodys(folder: Path, pid: str) -> None:
    """A worker that is killed as it makes one leaves it so."""
    (folder / f"histogram_{pid}.db").write_bytes(b"")

    assert total(count(1, folder)) == 1
    assert total(count(10, folder)) == 11


def test_who_is_killed_as_it_adds_the_dead_up_counts_none_twice(folder: Path) -> None:
    count(1, folder)
    kill = "from prometheus_client.mmap_dict import MmapedDict; import os\n"
    kill += "MmapedDict.close = lambda _: os._exit(9)\n"

    with pytest.raises(subprocess.CalledProcessError):
        count(10, folder, kill)

    assert total(count(100, folder)) == 111
    assert not list(folder.glob("*.taken"))


def test_the_gauges_of_the_dead_are_forgotten(folder: Path) -> None:
    (folder / "gauge_livesum_999999999.db").write_bytes(b"")

    count(1, folder)

    assert not (folder / "gauge_livesum_999999999.db").exists()


# A worker that stops at once: says where its files were, and whether they were there.
SERVE = f"""
import asyncio, os
from app.main import app

async def serve():
    async with app.router.lifespan_context(app):
        folder = os.environ["{VARIABLE}"]
        print(folder, os.path.isdir(folder), flush=True)

asyncio.run(serve())
"""


class TestSharing:
    """Where the files are."""

    @staticmethod
    def run(code: str, **settings: str) -> str:
        """Return what a worker of a service says."""
        environment = {
            name: value for name, value in os.environ.items() if name not in (VARIABLE, CHOSEN)
        }
        return subprocess.run(  # noqa: S603  (our own words)
            [sys.executable, "-c", code],
            env={**environment, **settings},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def folder_of(self, **settings: str) -> str:
        """Return the folder that a worker of a service chooses; it is gone with the worker."""
        code = f"import app.metrics, os; print(os.environ.get('{VARIABLE}'))"
        return self.run(code, **settings)

    @staticmethod
    def left(folder: Path) -> Path:
        """Make a folder with a lock that nobody has, as a worker that was killed leaves it."""
        folder.mkdir()
        (folder / LOCK).touch()
        return folder

    def test_the_workers_of_a_service_choose_the_same(self, tmp_path: Path) -> None:
        both = {"WEB_CONCURRENCY": "2", VARIABLE: str(tmp_path)}

        first, second = self.folder_of(**both), self.folder_of(**both)

        assert first == second
        assert f"-{os.getpid()}-" in first
        code = f"import app.metrics, os; print(oct(os.stat(os.environ['{VARIABLE}']).st_mode))"
        assert self.run(code, **both) == "0o40700"

    def test_it_is_in_memory_unless_one_is_named(self) -> None:
        memory = Path("/dev/shm")  # noqa: S108
        chosen = self.folder_of(WEB_CONCURRENCY="2")

        assert Path(chosen).parent in (memory, Path(tempfile.gettempdir()))
        assert f"-{os.getpid()}-" in chosen

    def test_one_worker_needs_none(self) -> None:
        assert self.folder_of(WEB_CONCURRENCY="1") == "None"

    def test_services_that_share_a_folder_have_one_each_in_it(self, tmp_path: Path) -> None:
        ours = Path(self.folder_of(**{VARIABLE: str(tmp_path)}))

        assert ours.parent == tmp_path
        assert self.folder_of(**{VARIABLE: str(tmp_path)}) != str(ours)
        a_parents = {VARIABLE: str(ours), CHOSEN: str(ours)}
        assert self.folder_of(**a_parents) == str(ours)
        named_alike = tmp_path / f"{PREFIX}shop"
        assert Path(self.folder_of(**{VARIABLE: str(named_alike)})).parent == named_alike

    def test_what_a_service_left_is_removed_but_not_what_is_used(self, tmp_path: Path) -> None:
        named = {VARIABLE: str(tmp_path)}
        ours = Path(self.folder_of(**named))
        # As containers would call them: their processes have other ids, or the same.
        left, used = (
            ours.with_name(re.sub(r"-\d+(-\d+-\d+)$", rf"-{space}\1", ours.name))
            for space in (1, 2)
        )
        self.left(left)
        self.left(used)

        with (used / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            self.folder_of(**named)

        assert used.exists()
        assert not left.exists()

    def test_what_is_nobodys_service_stays(self, tmp_path: Path) -> None:
        """In a folder of all users anybody may make what has such a name."""
        elsewhere = self.left(tmp_path / "elsewhere")
        (tmp_path / f"{PREFIX}{os.getuid()}-link").symlink_to(elsewhere)
        without_lock = tmp_path / f"{PREFIX}{os.getuid()}-old"
        without_lock.mkdir()
        trap = tmp_path / f"{PREFIX}{os.getuid()}-trap"
        trap.mkdir()
        os.mkfifo(trap / LOCK)

        self.folder_of(**{VARIABLE: str(tmp_path)})

        assert (elsewhere / LOCK).exists()
        assert without_lock.exists()

    def test_the_last_worker_removes_it(self, tmp_path: Path) -> None:
        named = {VARIABLE: str(tmp_path), "WEB_CONCURRENCY": "2"}

        ours, _, there = self.run(SERVE, **named).partition(" ")

        assert there == "True"
        assert not Path(ours).exists()

    def test_a_process_that_serves_nothing_removes_it_too(self, tmp_path: Path) -> None:
        ours = self.folder_of(**{VARIABLE: str(tmp_path), "WEB_CONCURRENCY": "2"})

        assert ours.startswith(f"{tmp_path}/")
        assert not Path(ours).exists()

    def test_one_that_others_still_use_stays(self, tmp_path: Path) -> None:
        named = {VARIABLE: str(tmp_path), "WEB_CONCURRENCY": "2"}
        ours = self.left(Path(self.folder_of(**named)))

        with (ours / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            self.run(SERVE, **named)

        assert ours.exists()
