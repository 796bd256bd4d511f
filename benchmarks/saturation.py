"""Measure what the gate of the write road brings under saturation: `make bench` runs this.

64 clients of wrk make a short update on 10 connections, over HTTP: a project's service, and the
same one with SQLAlchemy's pool alone. They take turns; the medians of the rounds' ratios count.
"""

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.harness.servers import execute, missing, postgresql, url_of
from tests.harness.support import clean_environment, free_port, serving

ROOT = Path(__file__).parent.parent
ROUNDS, SECONDS = 5, 2

# A short transaction on a row of its own, planted beside the example.
TOUCH = """

@router.post("/touch/{item_id}")
async def touch(item_id: ItemId, session: WriteSession) -> None:
    from sqlalchemy import update

    statement = update(Item).where(Item.id == item_id).values(quantity=Item.quantity + 1)
    await session.execute(statement)
"""

# Asks for one of 5,000 rows at random, and prints p99 in microseconds, the count of answers,
# the microseconds they took in all, and the count of errors.
WRK = """
request = function() return wrk.format("POST", "/touch/" .. math.random(1, 5000)) end
done = function(summary, latency)
  local bad = summary.errors
  io.write(string.format("\\n%d %d %d %d", latency:percentile(99), summary.requests,
    summary.duration, bad.status + bad.timeout + bad.read + bad.write + bad.connect))
end
"""

ROWS = """
    INSERT INTO items (name, quantity, created_at)
    SELECT 'item ' || n, 0, now() FROM generate_series(1, 5000) n;
    ANALYZE;
"""


def load(port: int, script: Path) -> tuple[float, float]:
    """Return p99 in milliseconds and requests a second."""
    words = ["wrk", "-t1", "-c64", f"-d{SECONDS}s", "--timeout", "20s", "--latency", "-s"]
    words += [str(script), f"http://127.0.0.1:{port}"]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    p99, count, duration, errors = map(int, out.splitlines()[-1].split())
    if errors:
        sys.exit(out)
    return p99 / 1000, count / duration * 1e6


def projects(build: Path) -> tuple[Path, Path]:
    """Make a project, and the same one without the gate."""
    ours = build / "ours" / "shop"
    new = [Path(sys.executable).parent / "fastperf", "new", ours, "--yes", "--no-git"]
    answers = ["-d", "database=postgresql", "-d", "cache=none"]
    subprocess.run([*new, *answers], check=True, capture_output=True)
    with (ours / "app/items/routes.py").open("a") as routes:
        routes.write(TOUCH)
    ignore = shutil.ignore_patterns(".venv")
    alone = Path(shutil.copytree(ours, build / "alone" / "shop", ignore=ignore))
    road = alone / "app/database/writes.py"
    text = road.read_text()
    assert "async with self.gate, " in text
    road.write_text(text.replace("async with self.gate, ", "async with "))
    return ours, alone


def main() -> None:
    """Measure and print."""
    if absent := missing("wrk", "initdb", "psql"):
        sys.exit(f"{', '.join(absent)} not found: run scripts/servers.sh, which installs them.")
    build = ROOT / "build" / "saturation"
    shutil.rmtree(build, ignore_errors=True)
    ours, alone = projects(build)
    binaries = ours / ".venv" / "bin"
    script = build / "touch.lua"
    script.write_text(WRK)
    with postgresql() as server:
        env = {**clean_environment(), "DATABASE_URL": url_of(server, "postgres")}
        env |= {"DATABASE_WRITE_POOL": "10", "DATABASE_TIMEOUT": "20", "LOG_LEVEL": "WARNING"}
        migrate = [binaries / "alembic", "upgrade", "head"]
        subprocess.run(migrate, cwd=ours, env=env, check=True, capture_output=True)
        execute(server, ROWS)
        ports = free_port(), free_port()
        first, second = (
            [binaries / "python", "-m", "uvicorn", "app.main:app", "--port", str(port)]
            for port in ports
        )
        with (
            serving(first, ours, ports[0], env=env),
            serving(second, alone, ports[1], env=env),
        ):
            rounds = [(load(ports[0], script), load(ports[1], script)) for _ in range(ROUNDS + 1)][
                1:
            ]
    p99 = statistics.median(a[0] / b[0] for a, b in rounds)
    throughput = statistics.median(a[1] / b[1] for a, b in rounds)
    print(
        "64 clients write on 10 connections: with the gate / the pool alone:"
        f" p99 x {p99:.2f}, throughput x {throughput:.2f}"
    )


if __name__ == "__main__":
    main()
