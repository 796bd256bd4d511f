"""Each parameter of a URL, on each road of a rendered project, against real servers with TLS."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.conftest import ROOT, Render
from tests.harness.servers import PROGRAMS, mariadb, missing, postgresql, rabbitmq, redis, url_of
from tests.harness.support import Environment, clean_environment, free_port

ROADS = ("reads", "replica", "writes", "migrations", "jobs")
UNTRUSTED = "certificate verify failed"


@contextmanager
def certificates(user: str) -> Iterator[Path]:
    """Make a key and a certificate of 127.0.0.1 that a server's user can read, and a stranger's."""
    with TemporaryDirectory(prefix="fastperf-tls-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        # RabbitMQ takes no client that has signed its certificate itself.
        signed = ["-CA", str(folder / "stranger.crt"), "-CAkey", str(folder / "stranger.key")]
        for name, more in {"server": [], "stranger": [], "client": signed}.items():
            words = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"]
            words += ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
            words += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
            words += more
            subprocess.run(words, check=True, capture_output=True)
        if os.geteuid() == 0:
            shutil.chown(folder / "server.key", user, user)
        yield folder


def ask(
    environment: Environment, project: Path, words: tuple[str, ...], urls: list[str]
) -> list[Any]:
    """Run a proof inside a project and return what it prints."""
    script, *more = words
    done = subprocess.run(
        [environment.folder / "bin/python", ROOT / "tests/proofs" / script, *more],
        cwd=project,
        input=json.dumps(urls),
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# What follows the ?, and what the server then says of the connection, on each road: text is a
# part of an error. {ca} is the file of the server's certificate, {other} that of a stranger.
POSTGRESQL: dict[str, dict[str, object] | str] = {
    "sslmode=disable": {"tls": None},
    "sslmode=allow": {},
    "sslmode=prefer": {"tls": "TLSv1.3"},
    "sslmode=require": {"tls": "TLSv1.3"},
    "ssl=require": {"tls": "TLSv1.3"},
    "sslmode=verify-ca&sslrootcert={ca}": {"tls": "TLSv1.3"},
    "sslmode=verify-full&sslrootcert={ca}": {"tls": "TLSv1.3"},
    "ssl=verify-full&sslrootcert={ca}": {"tls": "TLSv1.3"},
    "sslmode=verify-full&sslrootcert={other}.crt": UNTRUSTED,
    "sslmode=require&sslcert={client}.crt&sslkey={client}.key": {"who": "/CN=client"},
    "sslmode=require&sslcert={client}.crt&sslkey={locked}&sslpassword=word": {"who": "/CN=client"},
    "sslmode=require&sslrootcert={ca}&sslcrl={crl}": {"tls": "TLSv1.3"},
    "ssl_min_protocol_version=TLSv1.3": {"tls": "TLSv1.3"},
    "ssl_max_protocol_version=TLSv1.2": {"tls": "TLSv1.2"},
    "sslmode=require&channel_binding=prefer": {"tls": "TLSv1.3"},
    "gssencmode=disable": {},
    "target_session_attrs=any": {},
    "target_session_attrs=primary": {},
    "target_session_attrs=read-write": {},
    "application_name=shop": {"name": "shop"},
    "options=-csearch_path%3Dpg_catalog": {"path": "pg_catalog"},
    "connect_timeout=10": {},
    "timeout=10": {},
    "statement_cache_size=0": {"prepared": False},
    "prepared_statement_cache_size=0": {"prepared": False},
    "prepared_statement_cache_size=50": {"prepared": True},
    "@host=127.0.0.1&port={port}": {},
    "@host={folder}&port={port}": {"tls": None},
    "@host=127.0.0.1:1&host=127.0.0.1:{port}&target_session_attrs=read-write": {},
}
POSTGRESQL_REFUSED = {
    "nonsense=1": "'nonsense'.*remove it",
    "pgbouncer=true": "set DATABASE_PGBOUNCER=true",
    "command_timeout=10": "set REQUEST_DEADLINE",
    "ssl=true": "'ssl', which must be one of disable",
    "sslmode=require&ssl=disable": "two values",
    "sslmode=verify-full": "add sslrootcert",
    "sslmode=verify-full&sslrootcert=/nowhere": "'sslrootcert', which must be the path",
    "channel_binding=require": "'channel_binding', which must be one of",
    "target_session_attrs=standby": "only READ_DATABASE_URL",
    "timeout=soon": "a number of seconds above 0",
    "prepared_statement_cache_size=-1": "a whole number",
    "user=app": "'user'",
    "@host=a&host=b": "ports are required",
}
MYSQL: dict[str, dict[str, object] | str] = {
    "charset=utf8mb4": {"charset": "utf8mb4"},
    "ssl_mode=DISABLED": {"tls": None},
    "ssl_mode=REQUIRED": {"tls": "TLSv1.3"},
    "ssl-mode=REQUIRED": {"tls": "TLSv1.3"},
    "ssl_mode=VERIFY_CA&ssl_ca={ca}": {"tls": "TLSv1.3"},
    "ssl_ca={ca}": {"tls": "TLSv1.3"},
    "ssl_ca={ca}&ssl_check_hostname=false": {"tls": "TLSv1.3"},
    "ssl_ca={other}.crt": UNTRUSTED,
    "ssl_mode=VERIFY_IDENTITY": UNTRUSTED,
    "ssl_cert={client}.crt&ssl_key={client}.key": {"tls": "TLSv1.3"},
    "sql_mode=ANSI_QUOTES": {"mode": "ANSI_QUOTES"},
    "connect_timeout=10": {},
    "@unix_socket={folder}/socket": {},
}
MYSQL_REFUSED = {
    "nonsense=1": "'nonsense'.*remove it",
    "timeout=10": "'timeout'.*connect_timeout",
    "ssl=true": "set ssl_mode=REQUIRED",
    "ssl_ca=/nowhere": "'ssl_ca', which must be the path",
    "charset=latin1": "'charset', which must be one of utf8mb4",
    "read_timeout=10": "set REQUEST_DEADLINE",
}
CASES = [("postgresql", query) for query in (*POSTGRESQL, *POSTGRESQL_REFUSED)]
CASES += [("mysql", query) for query in (*MYSQL, *MYSQL_REFUSED)]

Found = Mapping[str, Any]


@pytest.fixture(scope="module")
def asked(rendered: Render, environment: Environment) -> Callable[[str], Found]:
    """Return what came of each query of a kind of database; all are asked at once."""
    results: dict[str, Found] = {}

    def get(kind: str) -> Found:
        if kind not in results:
            if absent := missing(*PROGRAMS[kind], "openssl"):
                pytest.skip(f"{', '.join(absent)} not installed: run scripts/servers.sh as root")
            project = rendered(preset="standard", tasks="celery", database=kind)
            with (_postgresql if kind == "postgresql" else _mysql)() as (url, base, more):
                queries = [query for each, query in CASES if each == kind]
                urls = [
                    f"{base}?{query[1:]}" if query[0] == "@" else f"{url}?{query}"
                    for query in (query.format_map(more) for query in queries)
                ]
                table, *found = ask(environment, project, ("database_roads.py", kind), urls)
            results[kind] = {"table": table, **dict(zip(queries, found, strict=True))}
        return results[kind]

    return get


Opened = tuple[str, str, dict[str, object]]


@contextmanager
def _postgresql() -> Iterator[Opened]:
    with certificates("postgres") as folder:
        locked, crl = folder / "locked.key", folder / "crl.pem"
        _openssl(
            "rsa", "-aes256", "-passout", "pass:word", "-in", folder / "client.key", out=locked
        )
        locked.chmod(0o600)
        (folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index\ncrlnumber = {folder}/number\n"
            "default_md = sha256\ndefault_crl_days = 2\n"
        )
        (folder / "index").touch()
        (folder / "number").write_text("01\n")
        words = ("-config", folder / "ca.cnf", "-keyfile", folder / "server.key")
        _openssl("ca", "-gencrl", *words, "-cert", folder / "server.crt", out=crl)
        certificate = {
            "ssl_cert_file": folder / "server.crt",
            "ssl_key_file": folder / "server.key",
        }
        trusted = {"ssl_ca_file": folder / "stranger.crt"}
        with postgresql(ssl="on", **certificate, **trusted) as server:
            more = {"port": server.port, "folder": server.folder, "locked": locked, "crl": crl}
            more |= {
                "ca": folder / "server.crt",
                "other": folder / "stranger",
                "client": folder / "client",
            }
            yield url_of(server, "postgres"), "postgresql+asyncpg://postgres@/postgres", more


def _openssl(*words: str | Path, out: Path) -> None:
    subprocess.run(["openssl", *words, "-out", out], check=True, capture_output=True)


@contextmanager
def _mysql() -> Iterator[Opened]:
    with certificates("mysql") as folder:
        certificate = {"ssl-cert": folder / "server.crt", "ssl-key": folder / "server.key"}
        with mariadb(**certificate, **{"ssl-ca": folder / "stranger.crt"}) as server:
            more: dict[str, object] = {"folder": server.folder, "ca": folder / "server.crt"}
            more |= {"other": folder / "stranger", "client": folder / "client"}
            yield url_of(server, "mysql"), "mysql+asyncmy://root@/mysql", more


@pytest.mark.parametrize(("kind", "query"), CASES)
def test_a_parameter_means_the_same_on_each_road_or_is_refused(
    asked: Callable[[str], Found], kind: str, query: str
) -> None:
    found = asked(kind)[query]
    refused = POSTGRESQL_REFUSED if kind == "postgresql" else MYSQL_REFUSED
    if query in refused:
        assert re.search(refused[query], found["refused"], re.DOTALL), found
        return
    expected = (POSTGRESQL if kind == "postgresql" else MYSQL)[query]
    for road in ROADS:
        if isinstance(expected, str):
            assert expected.lower() in str(found[road]).lower(), (road, found[road])
        else:
            assert isinstance(found[road], dict), (road, found[road])
            assert expected.items() <= found[road].items(), road


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_every_parameter_of_the_table_is_tried(asked: Callable[[str], Found], kind: str) -> None:
    tried = " ".join(query for each, query in CASES if each == kind)

    assert [name for name in asked(kind)["table"] if f"{name}=" not in tried] == []


TLS: dict[str, str] = {
    "": "verify failed",  # the server's certificate is nobody's
    "ssl_ca_certs={ca}": "well",
    "ssl_cert_reqs=required&ssl_ca_certs={ca}": "well",
    "ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}": "well",
    "ssl_ca_certs={other}.crt": "verify failed",
    "ssl_cert_reqs=none": "well",
    "ssl_cert_reqs=CERT_NONE": "well",
    "ssl_ca_certs={ca}&ssl_certfile={client}.crt&ssl_keyfile={client}.key": "well",
    "@127.1?ssl_ca_certs={ca}": "mismatch|not valid for",
    "@127.1?ssl_ca_certs={ca}&ssl_check_hostname=false": "well",
    "ssl_ca_certs=/nowhere": "refused: .*must be the path",
    "ssl_cert_reqs=maybe": "refused: .*must be required or none",
    "nonsense=1": "refused: .*'nonsense'",
    "-ssl_ca_certs={ca}": "refused: .*add an s to the scheme",
}
REDIS = {**TLS, "db=3&ssl_ca_certs={ca}": "well", "socket_timeout=3": "refused: .*'socket_timeout'"}
RABBITMQ = {**TLS, "heartbeat=20&ssl_ca_certs={ca}": "well", ";ssl_ca_certs={ca}": "well"}
BROKER_CASES = [("redis", query) for query in REDIS] + [("rabbitmq", query) for query in RABBITMQ]


@pytest.fixture(scope="module")
def reached(rendered: Render, environment: Environment) -> Callable[[str], Found]:
    """Return what came of each query of a kind of broker; all are asked at once."""
    results: dict[str, Found] = {}

    def get(kind: str) -> Found:
        if kind not in results:
            if absent := missing(*PROGRAMS[kind], "openssl"):
                pytest.skip(f"{', '.join(absent)} not installed: run scripts/servers.sh as root")
            cached = {"cache": "redis"} if kind == "redis" else {}
            project = rendered(preset="standard", tasks="celery", broker=kind, **cached)
            scheme = "rediss" if kind == "redis" else "amqps"
            user = "" if kind == "redis" else "guest:guest@"
            queries = [query for each, query in BROKER_CASES if each == kind]
            with (_redis if kind == "redis" else _rabbitmq)() as (port, more):
                urls = []
                for query in queries:
                    host, asked = "127.0.0.1", query.format_map(more)
                    if query.startswith("@"):
                        host, _, asked = asked[1:].partition("?")
                    url = f"{scheme}://{user}{host}:{port}/0?{asked.lstrip('-;')}".rstrip("?")
                    if query.startswith(";"):  # the name of the first node is wrong
                        url = f"{url.replace('127.0.0.1', '127.1')};{url}"
                    urls.append(url.replace("s:", ":", 1) if query.startswith("-") else url)
                table, *found = ask(environment, project, ("broker_roads.py", kind), urls)
            results[kind] = {"table": table, **dict(zip(queries, found, strict=True))}
        return results[kind]

    return get


@contextmanager
def _redis() -> Iterator[tuple[int, dict[str, object]]]:
    with certificates("redis") as folder:
        port = free_port()
        server_options: dict[str, object] = {
            "tls-port": port,
            "tls-cert-file": folder / "server.crt",
            "tls-key-file": folder / "server.key",
            "tls-ca-cert-file": folder / "stranger.crt",
            "tls-auth-clients": "optional",
        }
        with redis(**server_options):
            yield (
                port,
                {
                    "ca": folder / "server.crt",
                    "other": folder / "stranger",
                    "client": folder / "client",
                },
            )


@contextmanager
def _rabbitmq() -> Iterator[tuple[int, dict[str, object]]]:
    with certificates("rabbitmq") as folder:
        port = free_port()
        server_options: dict[str, object] = {
            "listeners.ssl.1": f"127.0.0.1:{port}",
            "ssl_options.certfile": folder / "server.crt",
            "ssl_options.keyfile": folder / "server.key",
            "ssl_options.cacertfile": folder / "stranger.crt",
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "false",
        }
        with rabbitmq(**server_options):
            yield (
                port,
                {
                    "ca": folder / "server.crt",
                    "other": folder / "stranger",
                    "client": folder / "client",
                },
            )


@pytest.mark.parametrize(("kind", "query"), BROKER_CASES)
def test_a_broker_and_the_cache_are_verified_alike(
    reached: Callable[[str], Found], kind: str, query: str
) -> None:
    found = reached(kind)[query]
    expected = (REDIS if kind == "redis" else RABBITMQ)[query]

    assert found
    for road, outcome in found.items():
        assert re.search(expected, outcome, re.DOTALL), (road, outcome)


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_every_parameter_of_a_broker_is_tried(reached: Callable[[str], Found], kind: str) -> None:
    tried = " ".join(query for each, query in BROKER_CASES if each == kind)

    assert [name for name in reached(kind)["table"] if f"{name}=" not in tried] == []
