"""Run PostgreSQL for development and tests, until Ctrl-C: `python scripts/postgresql.py`.

With Docker it is the one of compose.yml. Without, it is the machine's own PostgreSQL, with
its data in `.database/`. Both have the databases `app` and `test`, and the user `app`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent
DATA = PROJECT / ".database"
PORT = os.environ.get("DATABASE_PORT", "5432")

SETUP = """
CREATE ROLE app SUPERUSER LOGIN PASSWORD 'app';
CREATE DATABASE app OWNER app;
"""


def has_docker() -> bool:
    """Tell whether Docker runs here."""
    docker = shutil.which("docker")
    return (
        docker is not None
        and not subprocess.run([docker, "info"], capture_output=True, check=False).returncode
    )


def find(program: str) -> str:
    """Return where a program of PostgreSQL is; Debian keeps them out of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    found = str(debian[-1]) if debian else shutil.which(program)
    if found is None:
        sys.exit(f"Neither Docker nor {program} is here: install Docker, or PostgreSQL.")
    return found


def main() -> None:
    """Start it, one way or the other."""
    if has_docker():
        os.chdir(PROJECT)
        os.execlp("docker", "docker", "compose", "up", "database")
    initdb, postgres = find("initdb"), find("postgres")
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        DATA.mkdir(exist_ok=True)
        shutil.chown(DATA, "postgres", "postgres")
        os.chdir("/")
        os.setgid(DATA.stat().st_gid)
        os.setuid(DATA.stat().st_uid)
    if not (DATA / "PG_VERSION").exists():
        new = [initdb, "-D", str(DATA), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        subprocess.run(new, check=True, stdout=subprocess.DEVNULL)
        single = [postgres, "--single", "-D", str(DATA), "postgres"]
        statements = SETUP.lstrip() + (PROJECT / "scripts/postgresql.sql").read_text("utf-8")
        subprocess.run(single, input=statements, text=True, check=True, stdout=subprocess.DEVNULL)
    print(f"postgresql+asyncpg://app:app@127.0.0.1:{PORT}/app", flush=True)
    options = ["-p", PORT, "-c", f"unix_socket_directories={DATA}"]
    os.execv(postgres, [postgres, "-D", str(DATA), *options])


if __name__ == "__main__":
    main()
