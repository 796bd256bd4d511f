"""Run Redis for development and tests, until Ctrl-C: `python scripts/redis.py`.

With Docker it is the one of compose.yml. Without, it is the machine's own redis-server.
Neither keeps anything on a disk.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent
PORT = os.environ.get("REDIS_PORT", "6379")


def has_docker() -> bool:
    """Tell whether Docker runs here."""
    docker = shutil.which("docker")
    return (
        docker is not None
        and not subprocess.run([docker, "info"], capture_output=True, check=False).returncode
    )


def main() -> None:
    """Start it, one way or the other."""
    if has_docker():
        os.chdir(PROJECT)
        os.execlp("docker", "docker", "compose", "up", "redis")
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        sys.exit("Neither Docker nor redis-server is here: install Docker, or Redis.")
    print(f"redis://127.0.0.1:{PORT}/0", flush=True)
    options = ["--port", PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    options += ["--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]
    os.execv(server, [server, *options])


if __name__ == "__main__":
    main()
