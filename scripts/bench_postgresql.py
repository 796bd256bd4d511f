"""Run `benchmarks/postgresql.py` in a new project, on a server of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.harness.servers import execute, postgresql, url_of
from tests.harness.support import clean_environment

ROWS = """
INSERT INTO owners (name) SELECT 'Owner ' || n FROM generate_series(1, 100) n;
INSERT INTO items (id, name, quantity, owner_id, created_at)
SELECT n, 'item ' || n, n % 100, 1 + n % 100, now() FROM generate_series(2, 100000) n;
INSERT INTO tags (item_id, name) SELECT id, 'hot' FROM items;
ANALYZE;
"""


def main() -> None:
    """Render, migrate, fill and measure."""
    project = ROOT / "build" / "bench-postgresql"
    shutil.rmtree(project, ignore_errors=True)
    fastperf = Path(sys.executable).parent / "fastperf"
    subprocess.run(
        [fastperf, "new", project, "--yes", "-d", "database=postgresql", "-d", "cache=none"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with postgresql(shared_buffers="256MB") as server:
        env = {**clean_environment(), "DATABASE_URL": url_of(server, "postgres")}
        run = project / ".venv" / "bin"
        subprocess.run(
            [run / "alembic", "upgrade", "head"],
            cwd=project,
            env=env,
            check=True,
            capture_output=True,
        )
        execute(server, ROWS)
        os.chdir(project)
        subprocess.run([run / "python", ROOT / "benchmarks" / "postgresql.py"], env=env, check=True)


if __name__ == "__main__":
    main()
