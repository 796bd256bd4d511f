"""Measure what a change of the template costs: its checkout against a release, in pairs.

Both projects serve the same items from one PostgreSQL, and wrk asks them in turn. A round is a
pair, and who is first changes with each: what counts is the ratio of a pair, whose mean stands
with its 95 % interval (Student's t).
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
from benchmarks.ladder import Rung, environment_for, options_of, run

from fastperf_new import releases
from tests.harness.servers import Server, missing, postgresql

BUILD = ladder.BUILD.with_name("releases")

# Quantiles of Student's t at 97.5 %, by the number of pairs.
T = {5: 2.776, 7: 2.447, 10: 2.262, 15: 2.145, 20: 2.093, 30: 2.045}


def rung(name: str, server: Server, *release: str) -> Rung:
    """Make a project, and serve it as its README says."""
    folder = BUILD / name
    fastperf = Path(sys.executable).parent / "fastperf"
    words = ["new", folder, "--yes", "--no-git", "--no-install", "-d", "name=shop", *release]
    run(fastperf, *words, "-d", "database=postgresql", "-d", "cache=none", "-d", "server=uvicorn")
    programs = environment_for(name, "-r", "pyproject.toml", cwd=folder)
    url = f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/{name}"
    psql = ["psql", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
    subprocess.run([*psql, "-c", f"CREATE DATABASE {name}"], check=True)
    run(programs / "alembic", "upgrade", "head", cwd=folder, env={"DATABASE_URL": url})
    subprocess.run([*psql, name], input=ladder.SEED, text=True, check=True)
    serve = [programs / "uvicorn", "--port", "{port}", *options_of(folder)]
    return Rung(name, serve, folder, {"DATABASE_URL": url})


def report(endpoint: str, before: Rung, after: Rung) -> None:
    """Print the mean ratio of the pairs, and its interval."""
    for name, text in (("cpu", "CPU a request"), ("requests_per_second", "requests/s")):
        pairs = zip(after.results[endpoint], before.results[endpoint], strict=True)
        ratios = [getattr(new, name) / getattr(old, name) for new, old in pairs]
        mean = statistics.mean(ratios)
        half = T[len(ratios)] * statistics.stdev(ratios) / len(ratios) ** 0.5
        was = statistics.median(getattr(result, name) for result in before.results[endpoint])
        print(
            f"{endpoint:<12} {text:<14} was {was:7.0f}, now x {mean:.3f}"
            f"  ({mean - half:.3f} to {mean + half:.3f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=releases.versions()[-1], help="a release")
    parser.add_argument("--rounds", type=int, default=10, choices=T)
    parser.add_argument("--seconds", type=int, default=3, help="of load, for each and round")
    options = parser.parse_args()
    if absent := missing("wrk", "initdb", "psql", "taskset"):
        sys.exit(f"{', '.join(absent)} not found: run scripts/servers.sh, which installs them.")
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    ladder.BUILD = BUILD
    os.sched_setaffinity(0, {1})  # inherited by the database
    scripts = {"get by id": BUILD / "one.lua", "page of 20": BUILD / "page.lua"}
    scripts["get by id"].write_text(ladder.ONE)
    scripts["page of 20"].write_text(ladder.PAGE)
    with postgresql(shared_buffers="256MB") as server, ExitStack() as stack:
        pair = [
            rung("before", server, "--release", options.before),
            rung("after", server),
        ]
        for one in pair:
            stack.enter_context(one.serving())
        for number in range(options.rounds + 1):
            for endpoint, script in scripts.items():
                for one in pair if number % 2 else reversed(pair):
                    result = one.load(script, options.seconds if number else 1)
                    if number:  # the first round warms up
                        one.results.setdefault(endpoint, []).append(result)
        print(f"{options.before} and the checkout, {options.rounds} pairs of {options.seconds} s")
        for endpoint in scripts:
            report(endpoint, *pair)
        print(f"RSS: {pair[0].rss():.0f} and {pair[1].rss():.0f} MiB")


if __name__ == "__main__":
    main()
