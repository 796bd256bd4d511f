"""Draw the dashboard of a rendered project from what a running one measures, in docs/dashboard.png.

A new project with everything that is measured is asked a few things a second, a Prometheus of
its own scrapes it, and every expression of every panel is evaluated there. A panel without data is
an error. It needs matplotlib (`uv pip install --group docs`) and Debian's prometheus.
"""

import asyncio
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.dates import DateFormatter
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.harness.servers import find, postgresql, redis, url_of
from tests.harness.support import clean_environment, free_port, serving

PICTURE = ROOT / "docs" / "dashboard.png"
SECONDS = 60
STEP = 1  # seconds between two scrapes, and between two points
INTERVAL = 5  # seconds of a rate; Grafana takes four scrapes or more
COLUMNS = 24  # of Grafana's grid
COLORS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0")
INK, PAGE, PANEL, LINES = "#ccccdc", "#111217", "#181b1f", "#2c3235"

Series = tuple[str, list[float], list[float]]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.client = httpx2.Client(base_url=url, timeout=10)

    def series(self, target: dict[str, str], start: float, end: float) -> list[Series]:
        """Evaluate a panel's target: the legend, the times and the values of each series."""
        expression = target["expr"].replace("$__rate_interval", f"{INTERVAL}s")
        expression = expression.replace("$job", "shop")
        answer = self.client.get(
            "/api/v1/query_range",
            params={"query": expression, "start": start, "end": end, "step": STEP},
        )
        answer.raise_for_status()
        found = []
        for one in answer.json()["data"]["result"]:
            points = [(float(at), float(value)) for at, value in one["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                name = target["legendFormat"]
                for label, value in one["metric"].items():
                    name = name.replace("{{" + label + "}}", value)
                found.append((name, [at for at, _ in points], [value for _, value in points]))
        return found


@contextmanager
def working(run: Path, project: Path, env: dict[str, str]) -> Iterator[None]:
    """Run a worker and the clock of its jobs."""
    celery = [str(run / "celery"), "-A", "app.tasks.celery"]
    options = ("-Q", "quick,long,sweeps", "--concurrency", "2")
    with TemporaryDirectory(prefix="fastperf-beat-") as folder:
        words = ([*celery, "worker", *options], [*celery, "beat", "-s", f"{folder}/schedule"])
        started = [
            subprocess.Popen(
                each, cwd=project, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for each in words
        ]
        try:
            yield
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                process.wait(30)


@contextmanager
def prometheus(**ports: int) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes these jobs, each of one process."""
    port = free_port()
    with TemporaryDirectory(prefix="fastperf-prometheus-") as folder:
        scrapes = [
            {
                "job_name": name,
                "scrape_interval": f"{STEP}s",
                "static_configs": [{"targets": [f"127.0.0.1:{of_job}"]}],
            }
            for name, of_job in ports.items()
        ]
        config = Path(folder, "prometheus.yml")
        config.write_text(json.dumps({"scrape_configs": scrapes}), "utf-8")  # JSON is YAML
        log = Path(folder, "log")
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    *(str(find("prometheus")), f"--config.file={config}"),
                    *(f"--storage.tsdb.path={folder}/data", "--log.level=warn"),
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=output,
                stderr=output,
            )
        try:
            running = Prometheus(f"http://127.0.0.1:{port}")
            deadline = time.monotonic() + 30
            while True:
                try:
                    running.client.get("/-/ready").raise_for_status()
                    break
                except httpx2.HTTPError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        sys.exit(log.read_text())
                    time.sleep(0.1)
            yield running
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


async def use(url: str) -> None:
    """Ask the service for this and that: some of it slow, some of it wrong."""

    async def ask(client: httpx2.AsyncClient, kind: float) -> None:
        if kind < 0.55:
            await client.get(f"/items/{random.randint(1, 40)}")  # noqa: S311
        elif kind < 0.75:
            await client.get("/items", params={"limit": 20})
        elif kind < 0.9:
            await client.post("/items", json={"name": "tea", "quantity": 3})
        elif kind < 0.94:
            await client.get("/item-stats")
        elif kind < 0.97:
            job = {"kind": "item-report", "arguments": {"minimum": 1}}
            await client.post("/jobs", json=job)
        else:
            await client.get("/items", params={"limit": 1000})  # refused

    until = time.monotonic() + SECONDS
    async with httpx2.AsyncClient(base_url=url) as client, asyncio.TaskGroup() as group:
        while (left := until - time.monotonic()) > 0:
            rate = 12 + 8 * math.sin(left / 6)  # requests a second, up and down
            await asyncio.sleep(random.expovariate(rate))
            group.create_task(ask(client, random.random()))  # noqa: S311


def amount(value: float, unit: str) -> str:
    """Write a value as Grafana does."""
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"
    return f"{value:.3g}" + {"reqps": "/s", "ops": "/s"}.get(unit, "")


def draw_panel(axes: Any, panel: dict[str, Any], series: list[Series]) -> None:
    """Draw one panel: a number, or lines over time."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.set_title(panel["title"], loc="left", fontweight="bold", color=INK)
    if panel["type"] == "stat":
        axes.set_xticks([])
        axes.set_yticks([])
        place = {"ha": "center", "va": "center", "transform": axes.transAxes}
        text = amount(series[0][2][-1], unit)
        axes.text(0.5, 0.5, text, fontsize=20, color=COLORS[0], **place)
        return
    for number, (name, times, values) in enumerate(series):
        color = COLORS[number % len(COLORS)]
        moments = [datetime.fromtimestamp(at, UTC) for at in times]
        axes.plot(moments, values, color=color, linewidth=1.3, label=name)
        axes.fill_between(moments, values, color=color, alpha=0.08)
    axes.set_ylim(bottom=0, top=max(max(values) for _, _, values in series) * 1.1 or 1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value, unit)))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(color=LINES, linewidth=0.6)
    below = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.1), "borderaxespad": 0.2}
    axes.legend(
        ncols=panel["gridPos"]["w"] // 3, frameon=False, fontsize=7, columnspacing=1.2, **below
    )


def draw(running: Prometheus, panels: list[dict[str, Any]], start: float, end: float) -> None:
    """Draw all panels where they stand on the dashboard."""
    plt.style.use("dark_background")
    mpl.rcParams |= {"font.size": 8, "figure.facecolor": PAGE, "axes.facecolor": PANEL}
    mpl.rcParams |= {"axes.edgecolor": LINES, "xtick.color": INK, "ytick.color": INK}
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(14, height * 0.38))
    for panel in panels:
        series = [one for target in panel["targets"] for one in running.series(target, start, end)]
        if not series:
            sys.exit(f"The panel '{panel['title']}' has no data.")
        at = panel["gridPos"]
        head, foot = 1.0, (0.4 if panel["type"] == "stat" else 2.0)  # rows of the grid
        axes = figure.add_axes(
            (
                at["x"] / COLUMNS + 0.045,
                1 - (at["y"] + at["h"] - foot) / height,
                at["w"] / COLUMNS - 0.055,
                (at["h"] - head - foot) / height,
            )
        )
        draw_panel(axes, panel, series)
    figure.savefig(PICTURE, dpi=90)
    Image.open(PICTURE).quantize(96).save(PICTURE, optimize=True)  # a third of the size


def main() -> None:
    """Make a project, serve it, use it, and draw what its dashboard shows."""
    project = ROOT / "build" / "shop-dashboard"
    shutil.rmtree(project, ignore_errors=True)
    fastperf = Path(sys.executable).parent / "fastperf"
    answers = (
        "database=postgresql",
        "cache=redis",
        "server=gunicorn",
        "deployment=kubernetes",
        "tasks=celery",
    )
    options = [word for answer in (*answers, "metrics=yes") for word in ("-d", answer)]
    subprocess.run(
        [fastperf, "new", project, "--yes", *options], check=True, stdout=subprocess.DEVNULL
    )
    dashboard = json.loads((project / "deploy/grafana/dashboard.json").read_text("utf-8"))
    run = project / ".venv" / "bin"
    port = free_port()
    with postgresql() as server, redis() as cache, redis(appendonly="yes") as broker:
        env = {**clean_environment(), "WEB_CONCURRENCY": "2", "BROKER_URL": url_of(broker, "0")}
        env |= {"DATABASE_URL": url_of(server, "postgres"), "REDIS_URL": url_of(cache, "0")}
        subprocess.run(
            [run / "alembic", "upgrade", "head"],
            cwd=project,
            env=env,
            check=True,
            capture_output=True,
        )
        bind = ("--bind", f"127.0.0.1:{port}")
        words: list[str | Path] = [run / "gunicorn", "app.main:app", *bind]
        workers = free_port()
        env_of_workers = {**env, "TASKS_METRICS_PORT": str(workers)}
        with (
            serving(words, project, port, env=env),
            working(run, project, env_of_workers),
            prometheus(**{"shop": port, "shop-worker": workers}) as running,
        ):
            start = time.time() + INTERVAL
            asyncio.run(use(f"http://127.0.0.1:{port}"))
            draw(running, dashboard["panels"], start, time.time())
    print(f"{PICTURE.relative_to(ROOT)}, {PICTURE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
