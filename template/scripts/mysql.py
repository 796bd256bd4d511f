"""Run MySQL or MariaDB for development and tests, until Ctrl-C: `python scripts/mysql.py`.

With Docker it is the one of compose.yml. Without, it is the machine's own MariaDB, with
its data in `.database/`. Both have the databases `app` and `test`, and the user `app`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent
DATA = PROJECT / ".database"
PORT = os.environ.get("DATABASE_PORT", "3306")


def has_docker() -> bool:
    """Tell whether Docker runs here."""
    docker = shutil.which("docker")
    return (
        docker is not None
        and not subprocess.run([docker, "info"], capture_output=True, check=False).returncode
    )


def find(program: str) -> str:
    """Return where a program of MariaDB is; Debian keeps the server out of PATH."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        sys.exit(f"Neither Docker nor {program} is here: install Docker, or MariaDB.")
    return found


def main() -> None:
    """Start it, one way or the other."""
    if has_docker():
        os.chdir(PROJECT)
        os.execlp("docker", "docker", "compose", "up", "database")
    server = find("mariadbd")
    user = "mysql" if os.geteuid() == 0 else str(os.geteuid())
    if not DATA.exists():
        install = [find("mariadb-install-db"), "--no-defaults", "--skip-test-db"]
        install += [f"--datadir={DATA}", "--auth-root-authentication-method=normal"]
        if user == "mysql":
            install.append("--user=mysql")
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    print(f"mysql+asyncmy://app:app@127.0.0.1:{PORT}/app", flush=True)
    options = [f"--datadir={DATA}", f"--port={PORT}", "--bind-address=127.0.0.1"]
    options += [f"--socket={DATA}/socket", f"--pid-file={DATA}/pid"]
    options += ["--character-set-server=utf8mb4", f"--init-file={PROJECT}/scripts/mysql.sql"]
    if user == "mysql":
        options.append("--user=mysql")
    os.execv(server, [server, "--no-defaults", *options])


if __name__ == "__main__":
    main()
