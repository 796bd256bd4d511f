"""Measure the servers that are offered, over HTTP: `make ladder` runs this last.

The same project on each, one worker, as its README starts it: an answer without the
database, an item by its id, and a page of 20 items, 5 KB. Interleaved, as the ladder is.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import ladder
from benchmarks.ladder import ONE, PAGE, SEED, Rung, environment_for, run

from tests.harness.servers import missing, postgresql

BUILD = ladder.BUILD.with_name("servers")
LIVE = 'request = function() return wrk.format("GET", "/health/live") end'
OPTIONS = {
    "uvicorn": ["--port", "{port}", "--no-access-log"],
    "gunicorn": ["--bind", "127.0.0.1:{port}"],
    "granian": ["--interface", "asgi", "--port", "{port}", "--log-config", "granian-logging.json"],
}


def rungs(url: str) -> list[Rung]:
    """Make a project for each server."""
    env = {"DATABASE_URL": url, "WEB_CONCURRENCY": "1"}
    all_rungs = []
    for server, options in OPTIONS.items():
        folder = BUILD / f"shop-{server}"
        fastperf = Path(sys.executable).parent / "fastperf"
        new = ["new", folder, "--yes", "--no-git", "--no-install", "-d", "database=postgresql"]
        run(fastperf, *new, "-d", "cache=none", "-d", f"server={server}")
        binaries = environment_for(server, "-r", "pyproject.toml", cwd=folder)
        if not all_rungs:
            run(binaries / "alembic", "upgrade", "head", cwd=folder, env=env)
        all_rungs.append(Rung(server, [binaries / server, "app.main:app", *options], folder, env))
    return all_rungs


def report(all_rungs: list[Rung], endpoint: str) -> None:
    """Print medians, and the medians of each round's ratios to the first server."""
    first = all_rungs[0].results[endpoint]
    print(f"\n{endpoint:<24} req/s   of {all_rungs[0].name}   CPU us   of {all_rungs[0].name}")
    for rung in all_rungs:
        pairs = list(zip(rung.results[endpoint], first, strict=True))
        rate = statistics.median(one.requests_per_second for one, _ in pairs)
        cpu = statistics.median(one.cpu for one, _ in pairs)
        of_rate = statistics.median(a.requests_per_second / b.requests_per_second for a, b in pairs)
        of_cpu = statistics.median(a.cpu / b.cpu for a, b in pairs)
        print(f"{rung.name:<24}{rate:6.0f}  {of_rate:10.2f}  {cpu:7.0f}  {of_cpu:11.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of load, for each server and round")
    options = parser.parse_args()
    if absent := missing("wrk", "initdb", "psql", "taskset"):
        sys.exit(f"{', '.join(absent)} not found: run scripts/servers.sh, which installs them.")
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    ladder.BUILD = BUILD
    os.sched_setaffinity(0, {1})  # inherited by the database
    scripts = {"no database": LIVE, "get by id": ONE, "page of 20": PAGE}
    files = {endpoint: BUILD / f"{number}.lua" for number, endpoint in enumerate(scripts)}
    for endpoint, file in files.items():
        file.write_text(scripts[endpoint])
    with postgresql(shared_buffers="256MB") as server, ExitStack() as stack:
        all_rungs = rungs(f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/postgres")
        psql = ["psql", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        subprocess.run(psql, input=SEED, text=True, check=True)
        for rung in all_rungs:
            stack.enter_context(rung.serving())
        for number in range(options.rounds + 1):
            for endpoint, file in files.items():
                for rung in all_rungs:
                    result = rung.load(file, options.seconds if number else 1)
                    if number:  # the first round warms up
                        rung.results.setdefault(endpoint, []).append(result)
    print(f"CPython {sys.version}".replace("\n", " "))
    print(f"{options.rounds} rounds of {options.seconds} s, {ladder.CLIENTS} clients")
    for endpoint in files:
        report(all_rungs, endpoint)


if __name__ == "__main__":
    main()
