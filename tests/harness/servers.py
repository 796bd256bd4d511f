"""Private servers: on a free port of 127.0.0.1, with a data folder of their own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.harness.support import free_port


def find(program: str) -> str | None:
    """Return where a server's program is, None when it is not installed."""
    # Debian keeps those of PostgreSQL, and RabbitMQ's without the switch to its user, elsewhere.
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    newest += sorted(Path("/usr/lib/rabbitmq/lib").glob(f"*/sbin/{program}"))
    return (
        str(newest[-1]) if newest else shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    )


def missing(*programs: str) -> list[str]:
    """Return those of the programs that are not installed."""
    return [program for program in programs if find(program) is None]


# What each kind of server needs.
PROGRAMS = {
    "postgresql": ("initdb", "postgres", "pg_isready", "psql"),
    "mysql": ("mariadb-install-db", "mariadbd", "mariadb-admin", "mariadb"),
    "pgbouncer": ("pgbouncer",),
    "redis": ("redis-server", "redis-cli"),
    "rabbitmq": ("rabbitmq-server", "epmd"),
}


def url_of(server: "Server", database: str) -> str:
    """Return the URL of a database as SQLAlchemy takes it, or redis-py, or of a broker as Celery does.

    RabbitMQ has virtual hosts instead, here with numbers for names, as Redis' databases have.
    """
    if server.kind == "redis":
        return f"redis://127.0.0.1:{server.port}/{database}"
    if server.kind == "rabbitmq":
        return f"amqp://guest:guest@127.0.0.1:{server.port}/{database}"
    scheme, user = (
        ("mysql+asyncmy", "root") if server.kind == "mysql" else ("postgresql+asyncpg", "postgres")
    )
    return f"{scheme}://{user}@127.0.0.1:{server.port}/{database}"


def execute(server: "Server", sql: str, database: str = "") -> str:
    """Run SQL, or Redis' commands, with a server's own client and return what it prints.

    Rows of SQL are tab-separated.
    """
    if server.kind == "redis":
        words = [str(find("redis-cli")), "-e", "-h", "127.0.0.1", "-p", str(server.port)]
        words += ["-n", database or "0"]
    elif server.kind == "mysql":
        words = [str(find("mariadb")), "--no-defaults", "-N", "-B", "-u", "root", "-P"]
        words += [str(server.port), "-h", "127.0.0.1", database]
    else:
        words = [str(find("psql")), "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        words += ["-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres"]
        words += [database or "postgres"]
    done = subprocess.run(words, input=sql, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _succeeds(*words: str) -> Callable[[], bool]:
    return lambda: not subprocess.run(words, capture_output=True, check=False).returncode


@dataclass
class Server:
    """A server that can be stopped and started again."""

    kind: str
    words: list[str]
    ping: Callable[[], bool]
    port: int
    folder: Path
    options: dict[str, Any]
    stop_signal: signal.Signals
    process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.words, *more],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                **self.options,
            )
        deadline = time.monotonic() + 60
        while not self.ping():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, cutting all connections, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(self.stop_signal)
            self.process.send_signal(signal.SIGCONT)  # where it is paused
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def pause(self) -> None:
        """Have it answer nobody, with its connections open and new ones accepted."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it answer again."""
        self.signal(signal.SIGCONT)


@contextmanager
def _folder(user: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Make a data folder; servers refuse to run as root, so there it belongs to their user."""
    with TemporaryDirectory(prefix=f"fastperf-{user}-") as temporary:
        folder = Path(temporary)
        options: dict[str, Any] = {"cwd": folder, "start_new_session": True}
        if os.geteuid() == 0:
            shutil.chown(folder, user, user)
            options |= {"user": user, "group": user, "extra_groups": []}
        yield folder, options


@contextmanager
def postgresql(**settings: object) -> Iterator[Server]:
    """Run PostgreSQL; `postgres` may do everything, without a password."""
    with _folder("postgres") as (folder, options):
        data = folder / "data"
        subprocess.run(
            [str(find("initdb")), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
            check=True,
            capture_output=True,
            **options,
        )
        port = free_port()
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": folder,
            "fsync": "off",  # for tests; nothing here outlives a power cut
            **settings,
        }
        words = [str(find("postgres")), "-D", str(data)]
        for name, value in settings.items():
            words += ["-c", f"{name}={value}"]
        ping = _succeeds(str(find("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port))
        # SIGINT is the fast shutdown: it cuts connections instead of waiting for them.
        server = Server("postgresql", words, ping, port, folder, options, signal.SIGINT)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def mariadb(**settings: object) -> Iterator[Server]:
    """Run MariaDB; `root` may do everything, without a password."""
    with _folder("mysql") as (folder, options):
        data = folder / "data"
        subprocess.run(
            [
                str(find("mariadb-install-db")),
                "--no-defaults",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
            **options,
        )
        port = free_port()
        settings = {
            "datadir": data,
            "port": port,
            "bind-address": "127.0.0.1",
            "socket": folder / "socket",
            "pid-file": folder / "pid",
            "character-set-server": "utf8mb4",  # as MySQL and Debian have it
            "innodb-flush-log-at-trx-commit": 0,
            **settings,
        }
        words = [str(find("mariadbd")), "--no-defaults"]
        words += [f"--{name}={value}" for name, value in settings.items()]
        ping = _succeeds(
            str(find("mariadb-admin")),
            *("--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", "root", "ping"),
        )
        server = Server("mysql", words, ping, port, folder, options, signal.SIGTERM)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def pgbouncer(behind: Server, **settings: object) -> Iterator[Server]:
    """Run pgbouncer in transaction mode before a PostgreSQL."""
    with _folder("postgres") as (folder, options):
        port = free_port()
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": 4,
            **settings,
        }
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={behind.port} user=postgres",
            "[pgbouncer]",
        ]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        ping = _succeeds(str(find("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port))
        words = [str(find("pgbouncer")), str(folder / "pgbouncer.ini")]
        server = Server("postgresql", words, ping, port, folder, options, signal.SIGINT)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def redis(**settings: object) -> Iterator[Server]:
    """Run Redis, which keeps nothing on a disk."""
    with _folder("redis") as (folder, options):
        port = free_port()
        settings = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "appendonly": "no",
            **settings,
        }
        words = [str(find("redis-server"))]
        for name, value in settings.items():
            words += [f"--{name}", str(value)]
        ping = _succeeds(str(find("redis-cli")), "-e", "-h", "127.0.0.1", "-p", str(port), "ping")
        server = Server("redis", words, ping, port, folder, options, signal.SIGTERM)
        server.start()
        try:
            yield server
        finally:
            server.stop()


VIRTUAL_HOSTS = 32


def _speaks(port: int, greeting: bytes = b"") -> bool:
    """Tell whether something listens, and has a word for whoever greets it."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(greeting)
            return not greeting or bool(connection.recv(1))
    except OSError:
        return False


@contextmanager
def _epmd(folder: Path, options: dict[str, Any]) -> Iterator[int]:
    """Run Erlang's name server: a node would start one for the whole machine, and leave it there."""
    port = free_port()
    words = [str(find("epmd")), "-address", "127.0.0.1", "-port", str(port)]
    server = Server("epmd", words, lambda: _speaks(port), port, folder, options, signal.SIGTERM)
    server.start()
    try:
        yield port
    finally:
        server.stop()


def _rabbitmq_environment(folder: Path, port: int, epmd_port: int) -> dict[str, str]:
    """Return the variables that keep a node apart from any other.

    https://www.rabbitmq.com/docs/configure#supported-environment-variables
    """
    mine = {
        "NODENAME": f"rabbit-{port}@localhost",
        "NODE_IP_ADDRESS": "127.0.0.1",
        "NODE_PORT": port,
        "DIST_PORT": free_port(),
        "MNESIA_BASE": folder / "data",
        "LOG_BASE": folder / "logs",
        "LOGS": "-",
        "PID_FILE": folder / "pid",
        "CONFIG_FILE": folder / "rabbitmq.conf",
        "ADVANCED_CONFIG_FILE": folder / "advanced.config",
        "CONF_ENV_FILE": folder / "rabbitmq-env.conf",
        "ENABLED_PLUGINS_FILE": folder / "enabled_plugins",
        "GENERATED_CONFIG_DIR": folder / "generated",
        # It must not listen for other nodes on all addresses, nor wait for work by burning CPU.
        "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"
        " +sbwt none +sbwtdcpu none +sbwtdio none",
    }
    return {
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
        "LANG": "C.UTF-8",
        "HOME": str(folder),  # has the cookie
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP": str(folder / "crash.dump"),
        "RUNNING_UNDER_SYSTEMD": "true",  # one process, without a shell between it and signals
        **{f"RABBITMQ_{name}": str(value) for name, value in mine.items()},
    }


@contextmanager
def rabbitmq(**settings: object) -> Iterator[Server]:
    """Run RabbitMQ, which keeps over a restart what it promised to."""
    with _folder("rabbitmq") as (folder, options), _epmd(folder, options) as epmd_port:
        port = free_port()
        guest = {"name": "guest", "password": "guest", "tags": "administrator"}
        names = [str(number) for number in range(VIRTUAL_HOSTS)]
        anything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "users": [guest],
            "vhosts": [{"name": name} for name in names],
            "permissions": [{"vhost": name, **anything} for name in names],
        }
        (folder / "definitions.json").write_text(json.dumps(definitions))
        settings = {
            "load_definitions": folder / "definitions.json",
            "raft.wal_max_size_bytes": 32 * 1024**2,
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        options["env"] = _rabbitmq_environment(folder, port, epmd_port)
        server = Server(
            "rabbitmq",
            [str(find("rabbitmq-server"))],
            lambda: _speaks(port, b"AMQP\0\0\x09\x01"),
            port,
            folder,
            options,
            signal.SIGTERM,
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
