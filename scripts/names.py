"""Write the names that no project may have into copier.yml: `make names`.

A project cannot have the name of a package that it depends on, itself or through others: it would
depend on itself. The lock files of projects that together have everything hold these names, those
that only other platforms install included. `--list` prints them and writes nothing.
"""

import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new import releases
from fastperf_new.install import find_uv
from fastperf_new.questions import Answers
from fastperf_new.render import render

ROOT = Path(__file__).parent.parent
EVERYTHING: Answers = {"name": "shop", "preset": "standard", "tasks": "celery"}
EVERYTHING |= {"outbound": True, "process_pool": True, "compression": True, "metrics": True}
VARIANTS: list[Answers] = [
    {"database": "sqlite", "cache": "memory", "broker": "redis", "server": "uvicorn"},
    {"database": "postgresql", "cache": "redis", "broker": "rabbitmq", "server": "gunicorn"},
    {"database": "mysql", "cache": "redis", "broker": "redis", "server": "granian"},
]
LISTED = re.compile(
    r"(?<=\{%- elif name in \[)[^]]*(?=\] -%\}\n    '\{\{ name \}\}' is a package that)"
)
REQUIREMENT = re.compile(r'^ +"([a-z0-9.-]+(?:\[[a-z,]+\])?>=[0-9.]+)",$', re.MULTILINE)


def taken() -> list[str]:
    """Return the names of all packages that a rendered project can depend on.

    Raises:
        SystemExit: when a requirement of the template is in none of the variants.
    """
    names: set[str] = set()
    required: set[str] = set()
    release = releases.get(releases.DEVELOPMENT)
    for number, variant in enumerate(VARIANTS):
        with TemporaryDirectory() as folder:
            project = Path(folder) / str(number)
            render(release, release.questionnaire.complete({**EVERYTHING, **variant}), project)
            names |= _locked(project)
            required |= set(REQUIREMENT.findall((project / "pyproject.toml").read_text("utf-8")))
    template = (ROOT / "template/pyproject.toml.jinja").read_text("utf-8")
    if missing := set(REQUIREMENT.findall(template)) - required:
        sys.exit(f"error: no project has {', '.join(sorted(missing))}: add one to VARIANTS.")
    return sorted(names)


def _locked(project: Path) -> set[str]:
    """Return the names in a new lock of a project, for every platform, except its own."""
    subprocess.run([find_uv(), "lock", "--quiet", "--project", project], check=True)
    packages = tomllib.loads((project / "uv.lock").read_text("utf-8"))["package"]
    return {one["name"] for one in packages if "registry" in one["source"]}


def write(names: list[str]) -> None:
    """Write the names into the validator of the question `name`."""
    path = ROOT / "copier.yml"
    wrapped = textwrap.fill(
        ", ".join(f"'{name}'" for name in names),
        width=110,
        initial_indent=" " * 21,
        subsequent_indent=" " * 4,
        break_on_hyphens=False,
    )
    text, count = LISTED.subn(wrapped.strip(), path.read_text("utf-8"))
    if count != 1:
        sys.exit("error: copier.yml has no list of names to write to.")
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(taken()))
    else:
        write(taken())
