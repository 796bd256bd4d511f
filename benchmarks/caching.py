"""Measure the cache over HTTP: `make ladder` runs this after the ladder.

A hit, from memory and from Redis, and a miss, against the ladder's limit and against the
same project without a cache: get a page of 20 items, 5 KB. One worker each, interleaved.
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
from benchmarks.ladder import PAGE, RUNGS, SEED, Rung, environment_for, run

from tests.harness.servers import missing, postgresql, redis

BUILD = ladder.BUILD.with_name("caching")
CACHES = ("none", "memory", "redis")

# Each request asks for another entry, in later rounds too, so each is a miss; nothing but the
# key sees the number.
MISS = """
local number = os.time() % 100000 * 100000
request = function()
  number = number + 1
  return wrk.format("GET", wrk.path .. "?limit=20&n=" .. number)
end
"""


def project(cache: str, env: dict[str, str]) -> tuple[Path, Path]:
    """Make a project with a cache, and return its folder and its environment's bin folder."""
    folder = BUILD / f"shop-{cache}"
    fastperf = Path(sys.executable).parent / "fastperf"
    new = ["new", folder, "--yes", "--no-git", "--no-install", "-d", "database=postgresql"]
    run(fastperf, *new, "-d", f"cache={cache}")
    if cache != "none":
        policies = folder / "app" / "items" / "cache.py"
        text = policies.read_text("utf-8")
        assert '"limit", "cursor"' in text
        policies.write_text(text.replace('"limit", "cursor"', '"limit", "cursor", "n"'), "utf-8")
    return folder, environment_for(cache, "-r", "pyproject.toml", "orjson", cwd=folder)


def rungs(database: str, cache: str) -> list[Rung]:
    """Make the projects, and the rungs that are to be compared."""
    env = {"DATABASE_URL": database, "REDIS_URL": cache}
    made = {kind: project(kind, env) for kind in CACHES}
    folder, binaries = made["none"]
    run(binaries / "alembic", "upgrade", "head", cwd=folder, env=env)
    uvicorn = ["uvicorn", "--port", "{port}", "--no-access-log"]
    all_rungs = [Rung("raw", [binaries / uvicorn[0], *uvicorn[1:], "raw:app"], RUNGS, env)]
    for kind, (folder, binaries) in made.items():
        words = [binaries / uvicorn[0], *uvicorn[1:], "app.main:app"]
        all_rungs.append(Rung(kind, words, folder, env))
        if kind != "none":
            bare = shutil.copytree(folder, BUILD / f"{kind}-bare")
            main = bare / "app" / "main.py"
            text = main.read_text("utf-8").replace("    app.add_middleware(Instruments)\n", "")
            main.write_text(text, "utf-8")
            all_rungs.append(Rung(f"{kind}, no instruments", words, bare, env))
    return all_rungs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of load, for each rung and round")
    options = parser.parse_args()
    if absent := missing("wrk", "initdb", "psql", "redis-server", "taskset"):
        sys.exit(f"{', '.join(absent)} not found: run scripts/servers.sh, which installs them.")
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    ladder.BUILD = BUILD
    os.sched_setaffinity(0, {1})  # inherited by the servers
    scripts = {"hit": BUILD / "hit.lua", "miss": BUILD / "miss.lua"}
    scripts["hit"].write_text(PAGE)
    scripts["miss"].write_text(MISS)
    with postgresql(shared_buffers="256MB") as server, redis() as kept, ExitStack() as stack:
        url = f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/postgres"
        all_rungs = rungs(url, f"redis://127.0.0.1:{kept.port}/0")
        psql = ["psql", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        subprocess.run(psql, input=SEED, text=True, check=True)
        for rung in all_rungs:
            stack.enter_context(rung.serving())
        for number in range(options.rounds + 1):
            for kind, script in scripts.items():
                for rung in all_rungs:
                    result = rung.load(script, options.seconds if number else 1)
                    if number:  # the first round warms up
                        rung.results.setdefault(kind, []).append(result)
    print(f"CPython {sys.version}".replace("\n", " "))
    for kind in scripts:
        print(f"\n{kind:<26} req/s   of raw  of none   CPU us")
        raw, none = (rung.results[kind] for rung in all_rungs[:2])
        for rung in all_rungs:
            rates = [result.requests_per_second for result in rung.results[kind]]
            ratios = [
                statistics.median(
                    rate / other.requests_per_second
                    for rate, other in zip(rates, others, strict=True)
                )
                for others in (raw, none)
            ]
            cpu = statistics.median(result.cpu for result in rung.results[kind])
            print(
                f"{rung.name:<24}{statistics.median(rates):8.0f}  {ratios[0]:6.2f}"
                f"  {ratios[1]:6.2f}   {cpu:6.0f}"
            )


if __name__ == "__main__":
    main()
