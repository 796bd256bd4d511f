"""Measure the command itself: `fastperf --help`, and `fastperf new` against `copier copy`.

Part of `make bench`. The two take turns; the median of the ratios of each turn counts.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fastperf_new import releases

ROUNDS = 10
BIN = Path(sys.executable).parent


def seconds(*words: str | Path, cwd: Path) -> float:
    """Return the seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(words, cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Print both comparisons."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # A repository of the newest release, as a host would have it.
        template = folder / "template-repository"
        releases.latest().unpack(template)
        author = ["-c", "user.name=-", "-c", "user.email=-@-"]
        for step in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "-"], ["tag", "v0"]):
            subprocess.run(["git", *author, *step], cwd=template, check=True)

        helps, imports, ours, copier = [], [], [], []
        for _ in range(ROUNDS + 1):
            helps.append(seconds(BIN / "fastperf", "--help", cwd=folder))
            imports.append(seconds(sys.executable, "-c", "import copier", cwd=folder))
            version = releases.versions()[-1]
            new = ["new", "shop", "--yes", "--no-install", "--release", version]
            ours.append(seconds(BIN / "fastperf", *new, cwd=folder))
            shutil.rmtree(folder / "shop")
            copy = ["copy", "--defaults", "-q", "-d", "name=shop", str(template), "shop"]
            copier.append(seconds(BIN / "copier", *copy, cwd=folder))
            shutil.rmtree(folder / "shop")

    def row(title: str, ours: list[float], other: list[float]) -> None:
        pairs = list(zip(ours, other, strict=True))[1:]  # the first round warms up
        ratio = statistics.median(theirs / own for own, theirs in pairs)
        own, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{title:<58} {own:>9.2f} s  {theirs:>9.2f} s    x {ratio:.2f}")

    row("fastperf --help / python -c 'import copier'", helps, imports)
    row("fastperf new (git init and commit too) / copier copy", ours, copier)


if __name__ == "__main__":
    main()
