"""What several workers counted, and those that are no more."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.metrics.files import VARIABLE

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "metrics"
    folder.mkdir()
    return folder


def count(times: int, folder: Path) -> str:
    """Run a worker until it ends, and return what it said of all."""
    return subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", COUNT, str(times)],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(folder)},
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


def test_the_gauges_of_the_dead_are_forgotten(folder: Path) -> None:
    (folder / "gauge_livesum_999999999.db").write_bytes(b"")

    count(1, folder)

    assert not (folder / "gauge_livesum_999999999.db").exists()


class TestSharing:
    """Where the files are."""

    @staticmethod
    def folder_of(**settings: str) -> str:
        """Return the folder that a worker of a service chooses."""
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        return subprocess.run(  # noqa: S603  (our own words)
            [sys.executable, "-c", f"import app.metrics, os; print(os.environ.get('{VARIABLE}'))"],
            cwd=ROOT,
            env={**environment, **settings},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def test_the_workers_of_a_service_choose_the_same(self) -> None:
        first, second = self.folder_of(WEB_CONCURRENCY="2"), self.folder_of(WEB_CONCURRENCY="2")

        assert first == second
        assert f"-{os.getpid()}-" in first
        assert Path(first).stat().st_mode & 0o777 == 0o700
        Path(first).rmdir()

    def test_one_worker_needs_none(self) -> None:
        assert self.folder_of(WEB_CONCURRENCY="1") == "None"

    def test_a_folder_that_is_named_is_used(self, tmp_path: Path) -> None:
        named = {VARIABLE: str(tmp_path)}
        assert self.folder_of(WEB_CONCURRENCY="2", **named) == str(tmp_path)

    def test_folders_of_services_that_ended_are_removed(self) -> None:
        ours = Path(self.folder_of(WEB_CONCURRENCY="2"))
        left = ours.with_name(re.sub(r"\d+-\d+$", "999999999-1", ours.name))
        left.mkdir()

        self.folder_of(WEB_CONCURRENCY="2")

        assert not left.exists()
        ours.rmdir()
