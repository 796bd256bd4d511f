"""What a project is shipped with is valid, agrees with itself and with the service."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from fastperf_new.errors import WrongInputError
from fastperf_new.questions import Answer
from tests.conftest import Render
from tests.harness.servers import find, missing
from tests.harness.support import (
    CACHES,
    DATABASES,
    SERVERS,
    Environment,
    clean_environment,
    free_port,
    serving,
)

SHIPPED = ("docker", "kubernetes")
CLUSTER = "deploy/kubernetes/"
RULES = "deploy/prometheus/alerts.yml"
SCRAPES = "deploy/prometheus/prometheus.yml"
BIN = Path(sys.executable).parent

Change = tuple[str, str, str]


def check(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that checks files, and return what it says."""
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


def promtool(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    if missing("promtool"):
        pytest.skip("promtool not installed: run scripts/servers.sh as root")
    return check(str(find("promtool")), *words, cwd=cwd)


def manifests(project: Path) -> list[Path]:
    """Return the files that describe objects of a cluster; kustomization.yaml describes them."""
    files = sorted((project / CLUSTER).glob("*.yaml"))
    return [file for file in files if file.name != "kustomization.yaml"]


def cluster(project: Path) -> dict[str, dict[str, Any]]:
    """Return the objects of a cluster by their kind."""
    files = [file for file in manifests(project) if not file.name.startswith(("beat", "worker"))]
    objects = [yaml.safe_load(file.read_text("utf-8")) for file in files]
    return {found["kind"]: found for found in objects}


def kustomization(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (project / CLUSTER / "kustomization.yaml").read_text("utf-8")
    )
    return found


def settings(project: Path) -> dict[str, str]:
    """Return the variables that kustomization.yaml gives the pods."""
    literals = kustomization(project)["configMapGenerator"][0]["literals"]
    return dict(literal.split("=", 1) for literal in literals)


@pytest.fixture
def changed(rendered: Render, tmp_path: Path) -> Callable[..., Path]:
    """Render a project and make a mistake in it."""

    def make(path: str, old: str, new: str, **answers: Answer) -> Path:
        project = shutil.copytree(
            rendered(**{"preset": "standard", "deployment": "kubernetes", **answers}),
            tmp_path / "shop",
        )
        text = (project / path).read_text("utf-8")
        assert old in text
        (project / path).write_text(text.replace(old, new), "utf-8")
        return project

    return make


# --- Every file is what its format wants --------------------------------------------------------


def check_cluster(project: Path) -> str:
    program = BIN / "kubernetes-validate"
    done = check(program, "--strict", "-k", "1.34", *manifests(project), cwd=project)
    # A kind that it does not know is a warning, and passes.
    return "" if done.returncode == 0 and "WARN" not in done.stdout + done.stderr else done.stdout


def check_compose(project: Path) -> str:
    words = (BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yml")
    done = check(*words, cwd=project)
    return "" if done.returncode == 0 else done.stdout


def check_image(project: Path) -> str:
    done = check(BIN / "hadolint", "Dockerfile", cwd=project)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def check_workflows(project: Path) -> str:
    said = ""
    for words in (("zizmor", "--offline", ".github"), ("actionlint", ".github/workflows/ci.yml")):
        done = check(BIN / words[0], *words[1:], cwd=project)
        said += "" if done.returncode == 0 else done.stdout + done.stderr
    return said


def check_monitoring(project: Path) -> str:
    folder = (project / RULES).parent
    said = ""
    for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        done = promtool(*words, cwd=folder)
        said += "" if done.returncode == 0 else done.stdout + done.stderr
    return said


@pytest.mark.parametrize(
    ("name", "cache"),
    [("shop", "none"), ("shop", "memory"), ("true", "redis")],  # true means something else in YAML
)
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("deployment", SHIPPED)
def test_its_files_are_valid(
    rendered: Render, deployment: str, database: str, name: str, cache: str
) -> None:
    answers = {"deployment": deployment, "database": database, "cache": cache}
    project = rendered(preset="standard", name=name, **answers)

    assert not check_image(project)
    assert not check_compose(project)
    assert not check_workflows(project)
    assert not check_monitoring(project)
    if deployment == "kubernetes":
        assert not check_cluster(project)


@pytest.mark.parametrize("cache", ["memory", "redis"])
@pytest.mark.parametrize("database", DATABASES)
def test_they_are_valid_without_a_deployment(rendered: Render, database: str, cache: str) -> None:
    project = rendered(preset="standard", database=database, cache=cache)

    assert not check_workflows(project)
    assert (project / "compose.yml").exists() == (database != "sqlite" or cache == "redis")
    assert not ((project / "compose.yml").exists() and check_compose(project))


@pytest.mark.parametrize(
    ("run", "change"),
    [
        (check_cluster, (CLUSTER + "deployment.yaml", "seconds: 8", "second: 8")),
        (check_cluster, (CLUSTER + "service.yaml", "kind: Service", "kind: Servant")),
        (check_compose, ("compose.yml", "read_only:", "readonly:")),
        (check_image, ("Dockerfile", "AS final\n", "AS final\nRUN cd /tmp\n")),
        (check_workflows, (".github/zizmor.yml", "ref-pin", "hash-pin")),
        (
            check_workflows,
            (
                ".github/workflows/ci.yml",
                "permissions:\n  contents: read",
                "permissions: write-all",
            ),
        ),
        (check_workflows, (".github/workflows/ci.yml", "matrix.python", "matrix.snake")),
        (check_monitoring, (RULES, "> 0.01", "> 0.2")),
        (check_monitoring, (RULES, "> 0.01", "> 0.0001")),
        (check_monitoring, (RULES, "/health/.+|", "")),
        (check_monitoring, (RULES, ") > 1\n        for: 10m", ") > 5\n        for: 10m")),
        (check_monitoring, (RULES, "> 0.1", "> 0.5")),
        (check_monitoring, (RULES, "> 0.9", "> 1")),
        (check_monitoring, (RULES, "[5m])) > 1", "[5m])) > 50")),
        (check_monitoring, (RULES, "== 1)", "== 0)")),
        (check_monitoring, (RULES, "> 1 / 60", "> 1 / 3")),
        (check_monitoring, (RULES, "> 1 / 60\n        for: 10m", "> 1 / 60\n        for: 1m")),
        (check_monitoring, (RULES, "sum by (road)", "sum by (road")),
    ],
    ids=lambda value: value.__name__ if callable(value) else value[1].strip(),
)
def test_a_mistake_in_them_is_found(
    changed: Callable[..., Path], run: Callable[[Path], str], change: Change
) -> None:
    assert run(changed(*change, database="postgresql", cache="redis"))


# --- They agree with each other -----------------------------------------------------------------


def times(project: Path, deadline: int) -> tuple[tuple[int, str], tuple[int, str]]:
    """Return how long the server waits and how long it keeps connections, each by name."""
    image = (project / "Dockerfile").read_text("utf-8")
    command = " ".join(json.loads(re.findall(r"^CMD (\[.*\])$", image, re.MULTILINE)[-1]))

    def option(name: str, text: str = command) -> tuple[int, str]:
        found = re.search(rf"{name} (?:= )?(\d+)", text)
        assert found, name
        return int(found[1]), name.lstrip("-")

    if "gunicorn" in command:
        conf = (project / "gunicorn.conf.py").read_text("utf-8")
        more, _ = option(r"request_deadline\) \+", conf)
        return (deadline + more, "FINISH"), option("keepalive", conf)
    if "granian" in command:
        milliseconds, name = option("--http1-header-read-timeout")
        kept = (milliseconds // 1000, name)
        return option("--workers-kill-timeout"), kept
    return option("--timeout-graceful-shutdown"), option("--timeout-keep-alive")


def disagreements(project: Path) -> list[str]:
    """Return where files that must agree do not."""
    objects = cluster(project)
    deployment = objects["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    app = pod["containers"][0]
    found = []

    deadline = re.search(r"REQUEST_DEADLINE=(\d+)", (project / ".env.example").read_text("utf-8"))
    assert deadline
    (graceful, finish), (keep, alive) = times(project, int(deadline[1]))
    if not int(deadline[1]) < graceful:
        found.append("the server waits for less than a request may take")
    compose = yaml.safe_load((project / "compose.yml").read_text("utf-8"))["services"]
    if not graceful + 5 <= int(compose["app"]["stop_grace_period"].rstrip("s")):
        found.append("compose kills the server while it waits for requests")
    pre_stop = app["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = next(int(one["value"]) for one in app["env"] if one["name"] == "DRAIN_SECONDS")
    if not pre_stop + drain + graceful + 5 <= pod["terminationGracePeriodSeconds"]:
        found.append("a pod is killed while its server waits for requests")
    told = (project / "docs/deployment.md").read_text("utf-8")
    for seconds, name in (
        (graceful, finish),
        (keep, alive),
        (pre_stop, "preStop"),
        (drain, "DRAIN_SECONDS"),
        (pod["terminationGracePeriodSeconds"], "terminationGracePeriodSeconds"),
        (int(compose["app"]["stop_grace_period"].rstrip("s")), "stop_grace_period"),
        (int(deadline[1]), "REQUEST_DEADLINE"),
    ):
        if not re.search(rf"\| {seconds} \| `[^|]*{name}", told):
            found.append(f"docs/deployment.md does not have {name} {seconds}")

    labels = deployment["template"]["metadata"]["labels"]
    selected = {
        "service": objects["Service"]["spec"]["selector"],
        "deployment": deployment["selector"]["matchLabels"],
    }
    if "PodDisruptionBudget" in objects:
        selected["budget"] = objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    found += [f"the {name} selects no pods" for name, by in selected.items() if by != labels]
    if "Job" in objects:
        migrating = objects["Job"]["spec"]["template"]["metadata"]["labels"]
        if migrating.items() >= labels.items():
            found.append("the service sends requests to the migration")
        generated = kustomization(project)["configMapGenerator"][0]["options"]["labels"]
        step = objects["Job"]["metadata"]["labels"]["step"]
        if generated != {"step": step} or f"-l step={step}\n" not in told:
            found.append("the first step of a release is not the migration and its settings")
    port = objects["Service"]["spec"]["ports"][0]["targetPort"]
    named = {port["name"]: port["containerPort"] for port in app["ports"]}
    # What the pod says itself wins over the settings, and over the image.
    told_by_pod = {one["name"]: one["value"] for one in app["env"]}
    if str(named.get(port)) != told_by_pod.get("PORT"):
        found.append("the service asks another port than the server's")
    image = (project / "Dockerfile").read_text("utf-8")
    published = compose["app"]["ports"][0].rpartition(":")[2]
    if f" PORT={published} " not in image:
        found.append("compose publishes another port than the server's")
    return found + budget(project, objects)


def budget(project: Path, objects: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with how many pods there may be."""
    deployment = objects["Deployment"]["spec"]
    if "HorizontalPodAutoscaler" not in objects:
        strategy = deployment["strategy"]["type"]
        return [] if (deployment["replicas"], strategy) == (1, "Recreate") else ["two writers"]
    found = []
    scaler = objects["HorizontalPodAutoscaler"]["spec"]
    pods = scaler["maxReplicas"] + deployment["strategy"]["rollingUpdate"]["maxSurge"] + 1
    told = settings(project)
    if int(told["REPLICAS"]) != pods:
        found.append(f"REPLICAS is not the {pods} pods that there may be at once")
    stopping = deployment["template"]["spec"]["terminationGracePeriodSeconds"]
    if not stopping <= deployment["minReadySeconds"]:
        found.append("pods that stop pile up in a rollout")
    example = dict(
        re.findall(r"^# (\w+)=(\d+)$", (project / ".env.example").read_text("utf-8"), re.MULTILINE)
    )
    example |= told
    pools = int(example["DATABASE_WRITE_POOL"]) + int(example["DATABASE_READ_POOL"])
    needed = int(told["REPLICAS"]) * int(told["WEB_CONCURRENCY"]) * pools
    needed += int(example["DATABASE_HEADROOM"])
    if needed > 97:  # PostgreSQL's default of 100 less those kept for its superuser
        found.append(f"{needed} connections are more than a database allows by default")
    if f"= {needed}" not in (project / "docs/deployment.md").read_text("utf-8"):
        found.append("docs/deployment.md has another sum")
    return found


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("server", SERVERS)
def test_its_files_agree(rendered: Render, server: str, database: str) -> None:
    project = rendered(preset="standard", deployment="kubernetes", database=database, server=server)

    assert disagreements(project) == []
    listed = kustomization(project)["resources"]
    assert sorted(listed) == [file.name for file in manifests(project)]


@pytest.mark.parametrize(
    ("change", "database"),
    [
        (("Dockerfile", "shutdown 35", "shutdown 45"), "postgresql"),
        (("Dockerfile", "shutdown 35", "shutdown 30"), "postgresql"),
        (("Dockerfile", "PORT=8000", "PORT=80"), "sqlite"),
        ((CLUSTER + "deployment.yaml", 'value: "8000"', 'value: "80"'), "postgresql"),
        (("compose.yml", "period: 40s", "period: 35s"), "mysql"),
        ((CLUSTER + "deployment.yaml", "seconds: 8", "seconds: 10"), "postgresql"),
        ((CLUSTER + "deployment.yaml", "PeriodSeconds: 50", "PeriodSeconds: 45"), "sqlite"),
        ((CLUSTER + "deployment.yaml", "minReadySeconds: 50", "minReadySeconds: 15"), "mysql"),
        ((CLUSTER + "deployment.yaml", "maxSurge: 1", "maxSurge: 2"), "postgresql"),
        ((CLUSTER + "deployment.yaml", "replicas: 1", "replicas: 2"), "sqlite"),
        ((CLUSTER + "deployment.yaml", "Recreate", "RollingUpdate"), "sqlite"),
        ((CLUSTER + "autoscaler.yaml", "maxReplicas: 4", "maxReplicas: 5"), "mysql"),
        ((CLUSTER + "kustomization.yaml", "REPLICAS=6", "REPLICAS=4"), "postgresql"),
        ((CLUSTER + "kustomization.yaml", "CONCURRENCY=1", "CONCURRENCY=2"), "postgresql"),
        ((CLUSTER + "migrate.yaml", "-migrate", ""), "postgresql"),
        ((CLUSTER + "migrate.yaml", "step: migrate", "step: other"), "mysql"),
        ((CLUSTER + "service.yaml", "targetPort: http", "targetPort: web"), "postgresql"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[2],
)
def test_a_disagreement_is_found(
    changed: Callable[..., Path], change: Change, database: str
) -> None:
    assert disagreements(changed(*change, database=database))


def unreached(project: Path) -> list[str]:
    """Return the servers beside the service that it does not find, or does not wait for."""
    services = yaml.safe_load((project / "compose.yml").read_text("utf-8"))["services"]
    told = (project / "docs/deployment.md").read_text("utf-8")
    app = cluster(project)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    secrets = [source["secretRef"]["name"] for source in app["envFrom"] if "secretRef" in source]
    waits = services["app"]["depends_on"] | services["migrate"].get("depends_on", {})
    found = []
    servers = {"database": "DATABASE_URL", "redis": "REDIS_URL", "broker": "BROKER_URL"}
    for name, variable in servers.items():
        if name not in services:
            continue
        url = urlsplit(services["app"]["environment"][variable])
        if (url.hostname, url.port) != (name, int(services[name]["ports"][0].split(":")[-1])):
            found.append(f"{variable} does not lead to {name}")
        if (
            waits.get(name) != {"condition": "service_healthy"}
            or "healthcheck" not in services[name]
        ):
            found.append(f"nothing waits for {name}")
        if secrets != ["shop"] or f" --from-literal={variable}=" not in told:
            found.append(f"no pod has {variable}")
    return found


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("database", DATABASES)
def test_the_service_finds_its_servers(rendered: Render, database: str, cache: str) -> None:
    answers = {"deployment": "kubernetes", "database": database, "cache": cache}
    project = rendered(preset="standard", **answers)

    assert unreached(project) == []
    told = (project / "docs/deployment.md").read_text("utf-8")
    assert ("create secret" in told) == (database != "sqlite" or cache == "redis")


@pytest.mark.parametrize("database", ["sqlite", "mysql"])
@pytest.mark.parametrize(
    "change",
    [
        ("compose.yml", "redis://redis:6379", "redis://cache:6379"),
        ("compose.yml", "redis://redis:6379", "redis://redis:6380"),
        ("compose.yml", "      redis: {condition: service_healthy}\n", ""),
        (CLUSTER + "deployment.yaml", "secretRef", "configMapRef"),
        ("docs/deployment.md", "REDIS_URL=", "REDIS="),
    ],
    ids=lambda change: change[1].strip(),
)
def test_a_server_that_is_not_found_is_noticed(
    changed: Callable[..., Path], change: Change, database: str
) -> None:
    assert unreached(changed(*change, database=database, cache="redis"))


def test_containers_start_again_and_have_the_settings_of_the_file(rendered: Render) -> None:
    project = rendered(**WORKERS, tasks="celery", cache="redis")
    services = yaml.safe_load((project / "compose.yml").read_text("utf-8"))["services"]

    ends = [name for name, service in services.items() if service["restart"] != "unless-stopped"]
    assert ends == ["migrate"]
    built = {name for name, service in services.items() if "build" in service}
    assert built == {"migrate", "app", "worker", "beat"}
    for name in built:
        assert services[name]["env_file"] == [{"path": ".env", "required": False}]
        assert services[name].get("healthcheck") != {"disable": True}


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("tasks", ["none", "celery"])
def test_pods_are_reached_only_where_they_serve(
    rendered: Render, database: str, tasks: str
) -> None:
    if database == "sqlite" and tasks == "celery":
        return  # refused
    answers = {"deployment": "kubernetes", "database": database, "tasks": tasks}
    project = rendered(preset="standard", **answers)
    objects = [yaml.safe_load(file.read_text("utf-8")) for file in manifests(project)]
    (policy,) = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    templates = [one["spec"]["template"] for one in objects if "template" in one["spec"]]

    (selected,) = policy["podSelector"]["matchExpressions"]
    pods = {one["metadata"]["labels"]["app.kubernetes.io/name"] for one in templates}
    assert {*selected["values"]} == pods
    ports = {
        port["name"]
        for template in templates
        for container in template["spec"]["containers"]
        for port in container.get("ports", [])
    }
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == ports


# --- Workers ------------------------------------------------------------------------------------

WORKERS = {"preset": "standard", "deployment": "kubernetes", "database": "postgresql"}


# What Prometheus leaves alone.
ENDED = {
    "source_labels": ["__meta_kubernetes_pod_phase"],
    "regex": "Failed|Succeeded",
    "action": "drop",
}


def workers_disagree(project: Path) -> list[str]:
    """Return where what is said of workers in several files is not the same."""
    found = []
    example = (project / ".env.example").read_text("utf-8")
    limit = re.search(r"TASKS_HARD_LIMIT=(\d+)", example)
    assert limit
    hard = int(limit[1])
    objects = {
        name: yaml.safe_load((project / CLUSTER / f"{name}.yaml").read_text("utf-8"))
        for name in ("worker", "beat", "worker-autoscaler")
    }
    template = objects["worker"]["spec"]["template"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    compose = yaml.safe_load((project / "compose.yml").read_text("utf-8"))["services"]
    grace = int(compose["worker"]["stop_grace_period"].rstrip("s"))
    if not hard < min(grace, pod["terminationGracePeriodSeconds"]):
        found.append("a worker is killed while a job may run")
    told = (project / "docs/deployment.md").read_text("utf-8")
    if f"| {grace} | `stop_grace_period`" not in told:
        found.append("docs/deployment.md has another time")
    if compose["worker"]["command"] != container["args"]:
        found.append("compose and the cluster start different workers")
    if (
        compose["beat"]["command"]
        != objects["beat"]["spec"]["template"]["spec"]["containers"][0]["args"]
    ):
        found.append("compose and the cluster start different clocks")
    beat = objects["beat"]["spec"]
    if (beat["replicas"], beat["strategy"]["type"]) != (1, "Recreate"):
        found.append("there may be two clocks")
    for name in ("worker", "beat"):
        spec = objects[name]["spec"]
        if spec["selector"]["matchLabels"] != spec["template"]["metadata"]["labels"]:
            found.append(f"the {name} selects no pods")
        for source in ("configMapRef", "secretRef"):
            if {source: {"name": "shop"}} not in spec["template"]["spec"]["containers"][0][
                "envFrom"
            ]:
                found.append(f"the {name} has no settings")
    scaler = objects["worker-autoscaler"]["spec"]
    if scaler["scaleTargetRef"]["name"] != objects["worker"]["metadata"]["name"]:
        found.append("nothing is scaled")
    return found + workers_unwatched(project, objects) + workers_without_room(project, objects)


def workers_unwatched(project: Path, objects: Mapping[str, Any]) -> list[str]:
    """Return what keeps Prometheus from workers."""
    template = objects["worker"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    config = yaml.safe_load((project / RULES).with_name("prometheus.yml").read_text("utf-8"))
    (scraped,) = (it for it in config["scrape_configs"] if it["job_name"] == "shop-worker")
    label = template["metadata"]["labels"]["app.kubernetes.io/name"]
    found = []
    if scraped["relabel_configs"][0]["regex"] != f"{label};{container['ports'][0]['name']}":
        found.append("Prometheus does not find workers")
    if ENDED not in scraped["relabel_configs"]:
        found.append("pods that have ended count as workers that are down")
    port = {"name": "TASKS_METRICS_PORT", "value": str(container["ports"][0]["containerPort"])}
    if port not in container["env"]:
        found.append("a worker tells its metrics on another port")
    return found


def workers_without_room(project: Path, objects: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the number of workers, and their connections."""
    worker = objects["worker"]["spec"]
    (container,) = worker["template"]["spec"]["containers"]
    processes = int(container["args"][container["args"].index("--concurrency") + 1])
    # In a rollout each of the old may still be ending its job when the new ones are there.
    pods = 2 * objects["worker-autoscaler"]["spec"]["maxReplicas"]
    connections = pods * (2 * processes + 1) + int(settings(project)["REPLICAS"])
    told = (project / "docs/deployment.md").read_text("utf-8")
    found = []
    if f"{pods} x (2 x {processes} + 1)" not in told or f"= {connections} " not in told:
        found.append("docs/deployment.md has another sum of workers' connections")
    if not connections < int(settings(project)["DATABASE_HEADROOM"]):
        found.append("workers may take more connections than there is room for")
    return found


def test_what_is_said_of_workers_agrees(rendered: Render) -> None:
    project = rendered(**WORKERS, tasks="celery")

    assert workers_disagree(project) == []
    assert disagreements(project) == []
    listed = kustomization(project)["resources"]
    assert sorted(listed) == [file.name for file in manifests(project)]


@pytest.mark.parametrize(
    "change",
    [
        ("compose.yml", "period: 345s", "period: 325s"),
        (CLUSTER + "worker.yaml", "PeriodSeconds: 345", "PeriodSeconds: 325"),
        (CLUSTER + "worker.yaml", '"quick,long,sweeps"', '"quick,sweeps"'),
        (CLUSTER + "worker.yaml", '"2"', '"4"'),
        (CLUSTER + "worker.yaml", "secretRef", "configMapRef"),
        (CLUSTER + "worker.yaml", '"9100"', '"9101"'),
        (CLUSTER + "worker.yaml", "name: metrics", "name: other"),
        (CLUSTER + "beat.yaml", "replicas: 1", "replicas: 2"),
        (CLUSTER + "beat.yaml", "Recreate", "RollingUpdate"),
        (CLUSTER + "worker-autoscaler.yaml", "maxReplicas: 3", "maxReplicas: 6"),
        (CLUSTER + "kustomization.yaml", "HEADROOM=37", "HEADROOM=35"),
        (SCRAPES, "Failed|Succeeded", "Failed"),
    ],
    ids=lambda change: change[1],
)
def test_a_disagreement_of_workers_is_found(changed: Callable[..., Path], change: Change) -> None:
    project = changed(*change, **WORKERS, tasks="celery")

    assert workers_disagree(project)


@pytest.mark.parametrize(
    ("deployment", "database", "broker", "cache"),
    [
        ("docker", "sqlite", "redis", "memory"),
        ("docker", "mysql", "rabbitmq", "redis"),
        ("kubernetes", "postgresql", "redis", "redis"),
        ("kubernetes", "mysql", "rabbitmq", "none"),
    ],
)
def test_the_files_of_workers_are_valid(
    rendered: Render, deployment: str, database: str, broker: str, cache: str
) -> None:
    answers = {"deployment": deployment, "database": database, "broker": broker, "cache": cache}
    project = rendered(preset="standard", tasks="celery", **answers)

    assert not check_image(project)
    assert not check_compose(project)
    assert not check_workflows(project)
    assert not check_monitoring(project)
    if deployment == "docker":
        compose = yaml.safe_load((project / "compose.yml").read_text("utf-8"))["services"]
        port = compose["worker"]["environment"]["TASKS_METRICS_PORT"]
        config = yaml.safe_load((project / RULES).with_name("prometheus.yml").read_text("utf-8"))
        targets = [it["static_configs"][0]["targets"] for it in config["scrape_configs"]]
        assert targets == [["app:8000"], [f"worker:{port}"]]
    else:
        assert not check_cluster(project)
        assert unreached(project) == []
        for name in ("worker", "beat"):
            found = yaml.safe_load((project / CLUSTER / f"{name}.yaml").read_text("utf-8"))
            assert not list(locked(found["spec"]["template"]["spec"]))


@pytest.mark.parametrize(
    ("change", "database"),
    [
        ((RULES, "> 900", "> 9"), "mysql"),
        ((RULES, "> 900", "> 9000"), "mysql"),
        ((RULES, "> 0.05", "> 0.5"), "mysql"),
        ((RULES, "> 0.05", "> 0.005"), "mysql"),
        ((RULES, 'worker"} == 1', 'worker"} == 0'), "mysql"),
    ],
    ids=str,
)
def test_a_mistake_in_the_alerts_of_workers_is_found(
    changed: Callable[..., Path], change: Change, database: str
) -> None:
    assert check_monitoring(changed(*change, database=database, tasks="celery"))


def test_workers_and_a_file_in_a_cluster_are_refused(rendered: Render) -> None:
    with pytest.raises(WrongInputError, match="SQLite's file belongs to one pod"):
        rendered(preset="standard", deployment="kubernetes", tasks="celery")


def locked(spec: Mapping[str, Any]) -> Iterator[str]:
    """Name what Kubernetes' restricted profile, and a file system to read only, lack here."""
    security = spec.get("securityContext", {})
    if not (security.get("runAsNonRoot") and security.get("runAsUser") == 10001):
        yield "it may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "it may make any system call"
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield "it may become more"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "it has capabilities"
        if not own.get("readOnlyRootFilesystem"):
            yield "it may change itself"
        wanted = container["resources"]
        if "memory" not in wanted["limits"] or not wanted["requests"].keys() >= {"cpu", "memory"}:
            yield "it may take any memory"


@pytest.mark.parametrize("database", DATABASES)
def test_a_pod_may_do_no_more_than_it_has_to(rendered: Render, database: str) -> None:
    objects = cluster(rendered(preset="standard", deployment="kubernetes", database=database))
    pods = [
        found["spec"]["template"]["spec"]
        for found in objects.values()
        if "template" in found["spec"]
    ]

    assert len(pods) == (1 if database == "sqlite" else 2)
    assert [lack for pod in pods for lack in locked(pod)] == []
    for pod in pods:
        broken = json.loads(json.dumps(pod).replace("true", "false"))
        assert list(locked(broken)) == [
            "it may run as root",
            *["it may change itself"] * len([*pod["containers"], *pod.get("initContainers", [])]),
        ]


def memory_left(project: Path) -> int:
    """Return the MB of a pod's limit that are left by a service that is idle, its cache full."""
    (app,) = cluster(project)["Deployment"]["spec"]["template"]["spec"]["containers"]
    limit = int(app["resources"]["limits"]["memory"].removesuffix("Mi"))
    needed = 66 + 105 + 64  # measured with granian: its parent, a worker; CACHE_MAX_BYTES
    if (project / "app/process_pool.py").exists():
        # Where nothing is set there is a process for each core of some large machine.
        needed += 5 + 19 * int(settings(project).get("PROCESS_POOL_WORKERS", 32))
    return limit - needed


@pytest.mark.parametrize("process_pool", [False, True])
@pytest.mark.parametrize("database", DATABASES)
def test_a_pod_has_the_memory_that_its_processes_take(
    rendered: Render, database: str, process_pool: bool
) -> None:
    answers = {"database": database, "process_pool": process_pool, "cache": "memory"}
    project = rendered(preset="standard", deployment="kubernetes", **answers)

    assert memory_left(project) > 0
    told = (project / "docs/deployment.md").read_text("utf-8")
    assert ("a worker takes 75 MB" in told) is not process_pool


@pytest.mark.parametrize(
    "change",
    [
        (CLUSTER + "kustomization.yaml", "PROCESS_POOL_WORKERS=1", "OTHER=1"),
        (CLUSTER + "deployment.yaml", "384Mi", "256Mi"),
    ],
    ids=lambda change: change[1],
)
def test_a_pod_without_the_memory_is_found(changed: Callable[..., Path], change: Change) -> None:
    assert memory_left(changed(*change, process_pool=True)) < 0


@pytest.mark.parametrize("server", SERVERS)
def test_proxies_are_named_where_they_can_be_believed(rendered: Render, server: str) -> None:
    project = rendered(preset="standard", deployment="docker", server=server)
    told = (project / "docs/deployment.md").read_text("utf-8")

    assert ("FORWARDED_ALLOW_IPS" in told) == (server != "granian")


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("database", ["sqlite", "mysql"])
def test_the_number_of_workers_is_told(rendered: Render, database: str, cache: str) -> None:
    project = rendered(preset="standard", server="gunicorn", database=database, cache=cache)
    alone = (project / "app/database/single_worker.py").exists()

    for name in ("README.md", "docs/performance.md"):
        told = (project / name).read_text("utf-8").lower()
        assert ("one worker, as" in told, "a worker for each core" in told) == (alone, not alone)


@pytest.mark.parametrize("deployment", SHIPPED)
def test_prometheus_finds_the_service(rendered: Render, tmp_path: Path, deployment: str) -> None:
    project = rendered(preset="standard", deployment=deployment, database="postgresql")
    folder = shutil.copytree((project / RULES).parent, tmp_path / "prometheus")
    config = yaml.safe_load((folder / "prometheus.yml").read_text("utf-8"))
    (scrape,) = config["scrape_configs"]

    assert scrape["job_name"] in set(re.findall(r'job="(.*?)"', (project / RULES).read_text()))
    if deployment == "kubernetes":
        # Debian builds Prometheus without it.
        assert scrape.pop("kubernetes_sd_configs") == [{"role": "pod"}]
        template = cluster(project)["Deployment"]["spec"]["template"]
        label = template["metadata"]["labels"]["app.kubernetes.io/name"]
        port = template["spec"]["containers"][0]["ports"][0]["name"]
        assert scrape["relabel_configs"][0]["regex"] == f"{label};{port}"
        assert ENDED in scrape["relabel_configs"]
    else:
        compose = yaml.safe_load((project / "compose.yml").read_text("utf-8"))
        ((target,),) = [static["targets"] for static in scrape["static_configs"]]
        assert target.split(":")[0] in compose["services"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    done = promtool("check", "config", "prometheus.yml", cwd=folder)
    assert done.returncode == 0, done.stderr


# --- They agree with the service ----------------------------------------------------------------

_METRIC = re.compile(r"\b(\w+)\{([^}]*)\}")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_SCRAPED = {"job", "instance"}  # what Prometheus adds


def expressions(project: Path) -> list[str]:
    """Return every expression of the alerts and of the dashboard."""
    rules = yaml.safe_load((project / RULES).read_text("utf-8"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((project / "deploy/grafana/dashboard.json").read_text("utf-8"))
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found


def unknown(expressions: list[str], exposed: Mapping[str, set[str]]) -> list[str]:
    """Return the metrics, and labels of metrics, that nothing exposes."""
    found = []
    for expression in expressions:
        labels: set[str] = set()
        for name, matchers in _METRIC.findall(expression):
            if name == "up":
                continue
            if name not in exposed:
                found.append(name)
            wanted = set(re.findall(r"(\w+)\s*[=!]", matchers)) - _SCRAPED
            found += [f"{name}{{{label}}}" for label in wanted - exposed.get(name, set())]
            labels |= exposed.get(name, set())
        for group in _GROUPED.findall(expression):
            found += [label for label in group.split(", ") if label not in labels | _SCRAPED]
    return found


@pytest.fixture(scope="module")
def exposed(
    rendered: Render, environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[str]]:
    """The metrics of a service that has answered some requests, each with its labels."""
    project = shutil.copytree(
        rendered(preset="standard", deployment="docker"), tmp_path_factory.mktemp("served") / "shop"
    )
    environment.run("alembic", "upgrade", "head", cwd=project)
    port = free_port()
    server = environment.folder / "bin" / "uvicorn"
    words: list[str | Path] = [server, "app.main:app", "--port", str(port)]
    with serving(words, project, port, env={**clean_environment()}) as client:
        assert client.get("/items").status_code == 200
        assert client.get("/items/1").status_code == 404
        deadline = time.monotonic() + 60
        while "road=" not in (text := client.get("/metrics").text):  # sampled now and then
            assert time.monotonic() < deadline
            time.sleep(0.1)
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_metric_is_one_of_the_services(
    rendered: Render, exposed: dict[str, set[str]]
) -> None:
    asked = expressions(rendered(preset="standard", deployment="docker"))

    assert unknown(asked, exposed) == []
    # And the other way round: what the service measures is drawn.
    own = {name for name in exposed if re.match("http_|database_|cache_|event_", name)}
    drawn = {name for expression in asked for name, _ in _METRIC.findall(expression)}
    part = r"_(bucket|count|sum|created|total)$"
    families = {re.sub(part, "", name) for name in own}
    assert families == {re.sub(part, "", name) for name in drawn} - {"up"}


EXPORTED = """
from app.database import DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.runner import Attempt
from app.observability.counts import all_counts
from app.tasks import exporter, publisher
from prometheus_client import CollectorRegistry, generate_latest

exporter.observe(Attempt("kind", "done", 1.0, 1.0))
registry = CollectorRegistry()
database = SyncDatabase(DatabaseSettings(), connections=1, statement_timeout=1)
registry.register(exporter.QueueCollector(database))
print((generate_latest() + generate_latest(registry)).decode())
print("".join(f"{count.name}_total 0\\n" for count in all_counts))
"""


def test_every_metric_of_jobs_is_told(
    rendered: Render, environment: Environment, tmp_path: Path, exposed: dict[str, set[str]]
) -> None:
    project = shutil.copytree(
        rendered(preset="standard", deployment="docker", tasks="celery"), tmp_path / "shop"
    )
    environment.run("alembic", "upgrade", "head", cwd=project)
    text = environment.run("python", "-c", EXPORTED, cwd=project).stdout
    told: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        told.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    asked = expressions(project)

    assert unknown(asked, exposed | told) == []
    assert unknown(asked, exposed)
    assert {name for name in told if name.startswith("jobs_")} <= {
        name for expression in asked for name, _ in _METRIC.findall(expression)
    }


@pytest.mark.parametrize(
    "expression",
    [
        'http_requests_total{job="shop"}',
        'http_request_duration_seconds_count{code="500"}',
        'sum by (path) (rate(http_request_duration_seconds_count{job="shop"}[5m]))',
    ],
)
def test_a_metric_that_is_not_is_found(exposed: dict[str, set[str]], expression: str) -> None:
    assert unknown([expression], exposed)


def test_the_dashboard_can_be_imported(rendered: Render) -> None:
    project = rendered(preset="standard", deployment="docker")
    dashboard = json.loads((project / "deploy/grafana/dashboard.json").read_text("utf-8"))
    panels = dashboard["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    assert used - {"__rate_interval"} == variables
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)), "panels lie over each other"
    assert max(x for x, _ in taken) < 24


# --- The image ----------------------------------------------------------------------------------


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("server", SERVERS)
def test_the_image_has_what_the_service_needs(rendered: Render, server: str, database: str) -> None:
    project = rendered(preset="standard", deployment="docker", database=database, server=server)
    assert not check_image(project)
    text = (project / "Dockerfile").read_text("utf-8")
    let_in = re.findall(r"^!(.+)$", (project / ".dockerignore").read_text("utf-8"), re.MULTILINE)

    copied = {
        source
        for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE)
        for source in line.split()
    }
    assert copied == set(let_in)
    assert {name for name in copied if not (project / name).exists()} <= {"uv.lock"}
    final = text[text.index("AS final") :]
    assert "USER 10001:10001" in final
    assert not re.search(r"apt-get|/uv |gcc|build-essential", final)
    assert ("/data" in text) == (database == "sqlite")


@pytest.mark.parametrize("server", SERVERS)
def test_it_is_healthy_on_another_port(
    rendered: Render, environment: Environment, tmp_path: Path, server: str
) -> None:
    """The image's own command and its own check of health, run as Docker would."""
    project = shutil.copytree(
        rendered(preset="standard", deployment="docker", server=server), tmp_path / "shop"
    )
    text = (project / "Dockerfile").read_text("utf-8")
    check, command = map(json.loads, re.findall(r"^ *CMD (\[.*\])$", text, re.MULTILINE))
    port = free_port()
    env = environment.variables(PORT=port)
    ask = [environment.folder / "bin" / check[0], *check[1:]]

    with serving(command, project, port, env=env):
        assert subprocess.run(ask, env=env, check=False).returncode == 0
        elsewhere = {**env, "PORT": str(free_port())}
        assert subprocess.run(ask, env=elsewhere, check=False, capture_output=True).returncode
