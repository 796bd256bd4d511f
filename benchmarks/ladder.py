"""Measure a rendered project's reads over HTTP against others': `make ladder`.

Renders the project (PostgreSQL, otherwise the standard preset), starts a PostgreSQL of its
own, and has wrk ask every rung in turn, round after round, so that the machine's moods
meet all alike. Servers run on the first core, the database and wrk on the second. What
counts are the ratios of one run.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from fastperf_new.install import find_uv
from tests.harness.servers import Server, missing, postgresql
from tests.harness.support import clean_environment, free_port

BUILD = ROOT / "build" / "ladder"
RUNGS = ROOT / "benchmarks" / "rungs"
ITEMS = 1000
CLIENTS = 16
# Its get by id is a hot route, its page is not.
OURS, NOT_HOT = "ours", "no hot route"
UNLOGGED, UNMEASURED = ", no log line", ", unmeasured"
TICKS = os.sysconf("SC_CLK_TCK")

# A random item, from a sequence that is the same for every rung.
ONE = f"""
math.randomseed(1)
request = function() return wrk.format("GET", wrk.path .. "/" .. math.random(1, {ITEMS})) end
"""
PAGE = 'request = function() return wrk.format("GET", wrk.path .. "?limit=20") end'

SEED = f"""
INSERT INTO owners (name) SELECT 'Owner ' || n FROM generate_series(1, 20) n;
INSERT INTO items (name, quantity, owner_id, created_at)
SELECT 'A thing with a name of the usual length, no. ' || n, n, 1 + n % 20,
       timestamptz '2026-01-01 12:00:00.123456+00' + n * interval '1 minute'
  FROM generate_series(1, {ITEMS}) n;
INSERT INTO tags (item_id, name)
SELECT items.id, tag FROM items, (VALUES ('blue'), ('green')) tags (tag);
VACUUM ANALYZE;
"""


@dataclass
class Result:
    """What one run of wrk brought."""

    requests_per_second: float
    p50: float  # milliseconds
    p99: float
    cpu: float  # microseconds of the server a request


@dataclass
class Rung:
    """One way to serve the same answers."""

    name: str
    command: list[str | Path]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    prefix: str = ""
    port: int = field(default_factory=free_port)
    pid: int = 0
    results: dict[str, list[Result]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it serves items."""
        return f"http://127.0.0.1:{self.port}{self.prefix}/items"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the server on the first core."""
        words = [str(word).format(port=self.port) for word in self.command]
        own = {name: text.format(port=self.port) for name, text in self.environment.items()}
        with (BUILD / f"{re.sub('[^a-z]+', '-', self.name.lower())}.log").open("wb") as log:
            server = subprocess.Popen(
                ["taskset", "-c", "0", *words],
                cwd=self.folder,
                env={**clean_environment(), **own},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.pid = server.pid
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    self.get("/1")
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        sys.exit(f"{self.name} does not serve: see {log.name}")
                    time.sleep(0.1)
            yield
        finally:
            server.terminate()
            server.wait()

    def get(self, path: str) -> bytes:
        """Return one answer."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body

    def processes(self) -> list[int]:
        """Return the server's process and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]

    def cpu(self) -> float:
        """Return the seconds of CPU that the server has used."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS

    def rss(self) -> float:
        """Return the server's memory in MiB."""
        status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in self.processes())
        return sum(map(int, re.findall(r"VmRSS:\s+(\d+)", status))) / 1024

    def load(self, script: Path, seconds: float) -> Result:
        """Have wrk ask it on the second core."""
        before = self.cpu()
        wrk = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--latency", "-s", str(script)]
        done = subprocess.run(
            ["taskset", "-c", "1", *wrk, self.url], capture_output=True, text=True, check=True
        ).stdout
        used = self.cpu() - before
        if "Non-2xx" in done or "Socket errors" in done:
            sys.exit(f"{self.name} failed:\n{done}")

        def found(pattern: str) -> float:
            value, unit = re.search(pattern, done).groups()  # type: ignore[union-attr]
            return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "": 1}[unit]

        count = found(r"(\d+)() requests in")
        return Result(
            found(r"Requests/sec:\s+([\d.]+)()"),
            found(r"50%\s+([\d.]+)(us|ms|s)"),
            found(r"99%\s+([\d.]+)(us|ms|s)"),
            used / count * 1e6,
        )


def run(*words: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a command that must succeed."""
    environment = {**clean_environment(), "UV_PYTHON_DOWNLOADS": "never", **(env or {})}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{words} failed:\n{done.stdout}{done.stderr}")


def environment_for(name: str, *requirements: str | Path, cwd: Path = ROOT) -> Path:
    """Make a virtual environment of this interpreter and return its bin folder."""
    folder = BUILD / f"{name}-env"
    run(find_uv(), "venv", "-q", "-p", sys.executable, folder)
    run(
        *(find_uv(), "pip", "install", "-q", "--strict", *requirements),
        cwd=cwd,
        env={"VIRTUAL_ENV": str(folder)},
    )
    return folder / "bin"


def options_of(project: Path) -> list[str | Path]:
    """Return uvicorn's options for production, as a project's README has them."""
    found = re.search(r"uv run uvicorn (.*)", (project / "README.md").read_text("utf-8"))
    if not found:
        sys.exit(f"the README of {project.name} does not say how it is served")
    return [*found[1].replace("--host 0.0.0.0", "").split()]


def without(name: str, ours: Path, *lines: tuple[str, str]) -> Path:
    """Copy the project without some lines: the file each is in, and how it begins."""
    copy = shutil.copytree(ours, BUILD / name)
    for path, line in lines:
        file = copy / "app" / path
        text, count = re.subn(rf"\n +{re.escape(line)}.*", "", file.read_text("utf-8"))
        assert count == 1, line
        file.write_text(text, "utf-8")
    return copy


def rungs(server: Server) -> list[Rung]:
    """Make all projects and their environments."""
    url = f"postgresql+asyncpg://postgres@127.0.0.1:{server.port}/postgres"
    database = {"DATABASE_URL": url}
    ours = BUILD / "ours"
    fastperf = Path(sys.executable).parent / "fastperf"
    new = ["new", ours, "--yes", "--no-git", "--no-install", "-d", "database=postgresql"]
    new += ["-d", "cache=none"]
    run(fastperf, *new)
    bin_ours = environment_for("ours", "-r", "pyproject.toml", "orjson", cwd=ours)
    run(bin_ours / "alembic", "upgrade", "head", cwd=ours, env=database)
    subprocess.run(
        ["psql", "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"],
        input=SEED,
        text=True,
        check=True,
    )
    without_hot = without("without-hot", ours, ("wiring/items.py", "app.add_middleware(HotRoutes"))
    instruments = (
        ("main.py", "app.add_middleware(Instruments)"),
        ("main.py", "database.recorder.listeners.append(count_statement)"),
        ("wiring/metrics.py", "companions.append(prometheus.watch)"),
    )
    projects = {
        **{OURS: ours, OURS + UNMEASURED: without("unmeasured", ours, *instruments)},
        **{NOT_HOT: without_hot},
        NOT_HOT + UNMEASURED: without("without-both", without_hot, *instruments),
    }

    tool = environment_for("tool", "fastapi_template==6.1.2")
    run(
        tool / "fastapi_template",
        *("--name", "theirs", "--quiet", "--force", "--api-type", "rest", "--db", "postgresql"),
        *("--orm", "sqlalchemy", "--ci", "github", "--migrations", "--routers"),
        cwd=BUILD,
        env={"PATH": f"{Path(find_uv()).parent}:{os.environ['PATH']}"},
    )
    theirs = BUILD / "theirs"
    shutil.copy(RUNGS / "theirs.py", theirs / "theirs/web/api/items.py")
    with (theirs / "theirs/web/api/router.py").open("a") as router:
        router.write("\nfrom theirs.web.api import items\n")
        router.write("api_router.include_router(items.router, prefix='/items')\n")
    bin_theirs = environment_for("theirs", "-r", "pyproject.toml", cwd=theirs)

    uvicorn = [bin_ours / "uvicorn", "--port", "{port}", "--no-access-log"]
    serve = [bin_ours / "uvicorn", "--port", "{port}", *options_of(ours)]
    unlogged = {**database, "LOG_LEVEL": "WARNING"}
    measured = {name + UNLOGGED: projects[name] for name in (OURS, NOT_HOT)}
    return [
        Rung("raw (a)", [*uvicorn, "raw:app"], RUNGS, database),
        *(Rung(name, serve, folder, database) for name, folder in projects.items()),
        *(Rung(name, serve, folder, unlogged) for name, folder in measured.items()),
        Rung("usual ORM recipe (b)", [*uvicorn, "orm:app"], RUNGS, database),
        Rung(
            "fastapi_template (c)",
            [bin_theirs / "python", "-m", "theirs"],
            theirs,
            {
                **{"THEIRS_PORT": "{port}", "THEIRS_DB_PORT": str(server.port)},
                **{"THEIRS_DB_HOST": "127.0.0.1", "THEIRS_DB_USER": "postgres"},
                "THEIRS_DB_BASE": "postgres",
            },
            prefix="/api",
        ),
    ]


def check_same(all_rungs: list[Rung]) -> None:
    """Require the same bytes of every rung."""
    for path in ("/1", "/7", f"/{ITEMS}", "?limit=20"):
        expected = all_rungs[0].get(path)
        for rung in all_rungs[1:]:
            if rung.get(path) != expected:
                sys.exit(f"{rung.name} answers {path} with\n{rung.get(path)!r}, not\n{expected!r}")


def report(all_rungs: list[Rung], endpoint: str) -> None:
    """Print the medians, and the ratio of each round to the first rung and to the last."""
    first, last = all_rungs[0].results[endpoint], all_rungs[-1].results[endpoint]
    print(
        f"\n{endpoint:<26} req/s   of (a)  x (c)   p50 ms  p99 ms  CPU us  of (a)  (c)/    RSS MiB"
    )
    for rung in all_rungs:
        results = rung.results[endpoint]

        def median(name: str, results: list[Result] = results) -> float:
            return statistics.median(getattr(result, name) for result in results)

        def ratio(name: str, other: list[Result], results: list[Result] = results) -> float:
            pairs = zip(results, other, strict=True)
            return statistics.median(getattr(a, name) / getattr(b, name) for a, b in pairs)

        print(
            f"{rung.name:<26}{median('requests_per_second'):6.0f}  "
            f"{ratio('requests_per_second', first):6.2f}  {ratio('requests_per_second', last):5.2f}"
            f"  {median('p50'):7.2f} {median('p99'):7.2f}  {median('cpu'):6.0f}"
            f"  {1 / ratio('cpu', first):6.2f}  {1 / ratio('cpu', last):4.2f}  {rung.rss():8.1f}"
        )


def report_instruments(all_rungs: list[Rung], endpoint: str) -> None:
    """Print what the instruments leave of the throughput, and what they cost."""
    by_name = {rung.name: rung.results[endpoint] for rung in all_rungs}
    print(f"\n{endpoint}: all instruments on, against all off")
    for name in (OURS, NOT_HOT):
        off = by_name[name + UNMEASURED]
        for one in (name + UNLOGGED, name):
            pairs = list(zip(by_name[one], off, strict=True))
            kept = statistics.median(
                a.requests_per_second / b.requests_per_second for a, b in pairs
            )
            cost = statistics.median(a.cpu - b.cpu for a, b in pairs)
            print(f"{one:<26}{kept:.2f} of the requests/s, {cost:+.0f} us of CPU")


def main() -> None:
    """Measure and print the ladder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of load, for each rung and round")
    parser.add_argument("--json", type=Path, help="write all results there too")
    options = parser.parse_args()
    if absent := missing("wrk", "initdb", "psql", "taskset"):
        sys.exit(f"{', '.join(absent)} not found: run scripts/servers.sh, which installs them.")
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    os.sched_setaffinity(0, {1})  # inherited by the database
    scripts = {"get by id": BUILD / "one.lua", "page of 20": BUILD / "page.lua"}
    scripts["get by id"].write_text(ONE)
    scripts["page of 20"].write_text(PAGE)
    with postgresql(shared_buffers="256MB") as server, ExitStack() as stack:
        all_rungs = rungs(server)
        for rung in all_rungs:
            stack.enter_context(rung.serving())
        check_same(all_rungs)
        for number in range(options.rounds + 1):
            for endpoint, script in scripts.items():
                for rung in all_rungs:
                    result = rung.load(script, options.seconds if number else 1)
                    if number:  # the first round warms up
                        rung.results.setdefault(endpoint, []).append(result)
        print(f"CPython {sys.version}".replace("\n", " "))
        print(f"{options.rounds} rounds of {options.seconds} s, {CLIENTS} clients; medians")
        for endpoint in scripts:
            report(all_rungs, endpoint)
        report_instruments(all_rungs, "get by id")
    if options.json:
        content = {
            rung.name: {k: [vars(r) for r in v] for k, v in rung.results.items()}
            for rung in all_rungs
        }
        options.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
