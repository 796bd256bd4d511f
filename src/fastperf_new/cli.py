"""The commands: parse, call, print, exit code."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from fastperf_new import stopping
from fastperf_new.errors import Exit, NotReadyError, RefusedError, WrongInputError
from fastperf_new.printing import printable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastperf-new {version('fastperf-new')}")
        raise typer.Exit


@app.callback()
def fastperf(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """New FastAPI services, fast by construction, and updates that keep your code."""


Data = Annotated[
    list[str] | None,
    typer.Option("--data", "-d", metavar="KEY=VALUE", help="An answer; may be repeated."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")
]
ReleaseOption = Annotated[
    str | None,
    typer.Option("--release", metavar="X.Y.Z", help="Not the newest release of the template."),
]


@contextmanager
def _makes_something() -> Iterator[None]:
    """Word a stop as one of a command that makes something new."""
    try:
        yield
    except stopping.Stopped as stop:
        stop.message = stop.message.replace("nothing was changed", "nothing was made")
        raise


@_makes_something()
def new(
    path: Annotated[str | None, typer.Argument(help="The folder of the new project.")] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Where the other answers start from.")
    ] = None,
    data: Data = None,
    answers: Annotated[
        Path | None, typer.Option("--answers", metavar="FILE", help="A YAML file of answers.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take defaults.")] = False,
    dry_run: DryRun = False,
    no_git: Annotated[bool, typer.Option("--no-git", help="No repository, no commit.")] = False,
    no_install: Annotated[bool, typer.Option("--no-install", help="No uv sync.")] = False,
    release: ReleaseOption = None,
) -> None:
    """Make a new project."""
    from fastperf_new import answers as record  # not above: --help must not wait
    from fastperf_new import create, prompts, releases, report
    from fastperf_new.placing import check_destination

    here = _here()
    template = releases.get(release) if release else releases.current()
    questionnaire = template.questionnaire
    given = record.read_file(answers, questionnaire) if answers else {}
    pairs = [*(data or []), *([f"preset={preset}"] if preset is not None else [])]
    typed = record.parse_pairs(pairs, questionnaire)
    if path is not None:
        if not path.strip():
            raise WrongInputError("PATH is empty: name the folder of the new project.")
        given["name"] = _absolute(here, path).name
    given |= typed
    if not yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongInputError(
            "There is no terminal to ask at: add --yes, and answers with -d key=value."
        )
    if "name" in given or yes:
        questionnaire.complete(given)  # whatever is wrong is told before anything is asked
    if path is not None:
        check_destination(_absolute(here, path))
    if not yes:
        given = prompts.ask(questionnaire, given)
    complete = questionnaire.complete(given)
    shown = Path(path or str(complete["name"]))
    folder = _absolute(here, shown)
    check_destination(folder)

    flags = [*(["--no-git"] if no_git else []), *(["--no-install"] if no_install else [])]
    flags += ["--release", release] if release else []
    report.summary(complete, report.replay(questionnaire, complete, shown, folder, flags))
    if dry_run:
        report.preview(create.preview(template, complete))
        return
    if template.version == releases.DEVELOPMENT:
        report.never_updated()
    created = create.new(
        folder,
        template,
        complete,
        with_git=not no_git,
        with_install=not no_install,
        before_install=report.installing,
    )
    report.created(created, shown)
    if created.stopped:
        raise typer.Exit(created.stopped)


app.command()(new)


@app.command()
def update(
    release: ReleaseOption = None,
    dry_run: DryRun = False,
    resume: Annotated[
        bool, typer.Option("--continue", help="Finish an interrupted update or change.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Take an interrupted update or change back.")
    ] = False,
) -> None:
    """Merge a newer release of the template into the project in this folder."""
    from fastperf_new import apply, project, releases, report, repository

    here = _here()
    folder = project.find(here)
    if resume and abort:
        raise WrongInputError("--continue and --abort contradict each other: keep one.")
    if resume or abort:
        project.read(folder)
        (apply.resume if resume else apply.undo)(repository.find(folder))
        typer.echo(
            "Update finished: look at git diff --staged, then commit."
            if resume
            else "Update aborted. The project is at its last commit."
        )
        return
    template = releases.get(release) if release else releases.latest()
    result = project.update(folder, template, dry_run=dry_run)
    if result is None:
        typer.echo(f"The project is at {template.version} already.")
        return
    report.updated(result, here, dry_run=dry_run)
    if result.conflicts or result.broken:
        raise typer.Exit(Exit.CONFLICTS)


@app.command()
def change(
    pairs: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="The new answers.")],
    dry_run: DryRun = False,
) -> None:
    """Change answers of the project in this folder: add or remove what they stand for."""
    from fastperf_new import project, report

    here = _here()
    result = project.change(project.find(here), pairs, dry_run=dry_run)
    if result is None:
        typer.echo("The project has these answers already.")
        return
    report.updated(result, here, dry_run=dry_run)
    if result.conflicts or result.broken:
        raise typer.Exit(Exit.CONFLICTS)


@app.command()
def status() -> None:
    """Show the release and the answers of the project in this folder."""
    from fastperf_new import project, report

    report.status(project.status(project.find(_here())))


@app.command()
def options(release: ReleaseOption = None) -> None:
    """List the questions, their choices and their defaults."""
    from fastperf_new import releases, report

    template = releases.get(release) if release else releases.current()
    report.options(template.questionnaire)


def _here() -> Path:
    """Return the current folder.

    Raises:
        NotReadyError: when it was deleted.
    """
    try:
        return Path.cwd()
    except OSError:
        raise NotReadyError("The current folder is gone: change to another one first.") from None


def _absolute(here: Path, path: str | Path) -> Path:
    return Path(os.path.normpath(here / path))


def _run(command: Callable[[], object]) -> NoReturn:
    """Run a command; a refusal becomes one sentence and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files can be anything
    try:
        stopping.listen()
        command()
    except stopping.Stopped as stop:
        _refuse(stop.message, stop.exit)
    except RefusedError as error:
        _refuse(str(error), error.exit)
    except OSError as error:
        _refuse(f"{error}.", Exit.FAILED)
    sys.exit(Exit.DONE)


def _refuse(message: str, code: int) -> NoReturn:
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(printable(message), err=True)
    sys.exit(code)


def main() -> NoReturn:
    """`fastperf`."""
    _run(app)


def main_new() -> NoReturn:
    """`fastperf-new`, the same as `fastperf new`."""
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name="fastperf-new")(new)
    _run(alone)
