"""Each refusal, and the way on that its sentence names: who follows it has a working project.

`tests/test_refusals.py` and `tests/test_reconcile.py` follow sentences that hold commands. Here
somebody read the sentence, and `test_every_refusal_is_followed` finds those that nobody has read.
"""

import ast
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fastperf_new.answers import FILE
from fastperf_new.errors import Exit
from tests.conftest import ROOT
from tests.harness.support import FASTPERF, Project, fastperf

RELEASE = "0.6.0"
TEXT = "A FastAPI service."
CHANGE = ("change", "process_pool=yes")
NEW = ("new", "--yes", "--no-install")
ANSWERS = "answers.yml"

Make = Callable[..., Project]
Done = subprocess.CompletedProcess[str]
Step = Callable[[Project], object]


@dataclass(frozen=True)
class Walk:
    """A project that the command refuses, and what its user does after reading why.

    Attributes:
        says: what the refusal says, as far as it is the same for every project.
        spoil: brings the project to where it is refused.
        follow: does what the refusal says; may return the project that it leads to.
        words: the command line that is refused.
        start: runs the command that is refused, when that is not these words in the project.
        then: the command line that works after that; the same, unless it is the one at fault.
    """

    says: str
    spoil: Step
    follow: Step
    words: tuple[str, ...] = CHANGE
    start: Callable[[Project], Done] | None = None
    then: tuple[str, ...] = ()


def nothing(_: Project) -> None:
    """The sentence says to try again, or the words are at fault."""


def commit(project: Project) -> None:
    project.commit()


def run(*words: str | Path) -> Step:
    return lambda project: subprocess.run(
        words, cwd=project.folder, check=True, capture_output=True
    )


def git(*words: str) -> Step:
    return run("git", *words)


def fast(*words: str) -> Step:
    return run(FASTPERF, *words)


def write(path: str, text: str) -> Step:
    return lambda project: project.write(path, text)


def edit(path: str, old: str, new: str) -> Step:
    return lambda project: project.replace(path, old, new)


def remove(path: str) -> Step:
    return lambda project: (project.folder / path).unlink()


def move_away(path: str) -> Step:
    return run("mv", path, "../elsewhere")


def steps(*several: Step) -> Step:
    def do(project: Project) -> None:
        for step in several:
            step(project)

    return do


def of(name: str) -> Callable[[Project], Project]:
    """The project that lies beside this one."""
    return lambda project: Project(project.folder.parent / name)


restore_answers = steps(git("restore", "--source=HEAD~1", FILE), commit)
main_is_hidden = git("update-index", "--assume-unchanged", "app/main.py")
main_is_edited = edit("app/main.py", "import", "# mine\nimport")


def spoilt_answers(old: str, new: str) -> Step:
    return steps(edit(FILE, old, new), commit)


# --- repositories, templates ----------------------------------------------------------------


def without_contents(project: Project) -> None:
    """Make the project a clone that leaves contents out."""
    origin = project.folder.parent / "origin"
    project.folder.rename(origin)
    Project(origin).git("config", "uploadpack.allowFilter", "true")
    words = [
        "clone",
        "-q",
        "--filter=blob:none",
        "--sparse",
        f"file://{origin}",
        str(project.folder),
    ]
    subprocess.run(["git", *words], check=True)


def in_a_merge(project: Project) -> None:
    for branch in (["-b", "other"], ["main"]):
        project.git("checkout", "-q", *branch)
        project.write("a.txt", branch[-1])
        project.commit()
    project.git("merge", "-q", "--no-commit", "-s", "ours", "other")


def in_a_rebase(project: Project) -> None:
    for text in ("one", "two"):
        project.write("a.txt", text)
        project.commit(text)
    env = {**os.environ, "GIT_SEQUENCE_EDITOR": "sed -i 1s/pick/edit/"}
    subprocess.run(["git", "rebase", "-q", "-i", "HEAD~2"], cwd=project.folder, check=True, env=env)


def copier(*words: str) -> Step:
    return run(FASTPERF.parent / "copier", words[0], "--defaults", "--quiet", *words[1:])


def of_another_template(project: Project) -> None:
    """Make the project one of a template that Copier updates, and that has a newer release."""
    template = Project(project.folder.parent / "template")
    template.write("copier.yml", "_subdirectory: files\n")
    template.write(
        "files/{{ _copier_conf.answers_file }}.jinja", "{{ _copier_answers|to_nice_yaml }}"
    )
    template.git("init", "-q")
    for number in ("1", "2"):
        template.write("files/a.txt", number)
        template.commit()
        template.git("tag", number)
    project.git("rm", "-rq", ".")
    copier("copy", "--vcs-ref", "1", str(template.folder), ".")(project)
    project.commit()


def updated_by_copier(project: Project) -> Project:
    copier("update")(project)
    assert project.read("a.txt") == "2"
    return make_anew(project)


def make_anew(project: Project) -> Project:
    fast("new", "../anew", "--yes", "--no-install", "--release", RELEASE)(project)
    return of("anew")(project)


def two_projects(project: Project) -> None:
    """Leave an interrupted update in one of two projects of a repository."""
    for name in ("a", "b"):
        fast("new", name, "--yes", "--no-install", "--release", RELEASE)(project)
    project.commit()
    interrupted(Project(project.folder / "a"))


# --- what happens while it runs -------------------------------------------------------------

_AT_ONE_POINT = """
import os, subprocess, sys
from pathlib import Path
from fastperf_new import apply, index, journal, moving, staging
from fastperf_new.cli import main
def git(*words):
    subprocess.run(["git", *words], check=True)
def first(module, name, do):
    whole = getattr(module, name)
    def faulty(*rest, **more):
        setattr(module, name, whole)
        do()
        return whole(*rest, **more)
    setattr(module, name, faulty)
def full(*rest, **more):
    raise OSError(28, "No space left on device")
def save():
    with Path("app/main.py").open("a") as file:
        file.write("MINE = 1")
"""


def when(*lines: str, words: tuple[str, ...] = CHANGE) -> Callable[[Project], Done]:
    """The command in a process in which something happens at one point."""
    code = [_AT_ONE_POINT, *lines, f"sys.argv = ['fastperf', *{words!r}]", "main()"]
    return lambda project: subprocess.run(
        [sys.executable, "-c", "\n".join(code)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )


interrupted = when("first(index, 'put', lambda: os._exit(137))")
INTERRUPTED_AND_EDITED = steps(interrupted, edit("app/main.py", "import", "# mine\nimport"))


def beside_another(project: Project) -> Done:
    with (project.folder / ".git/fastperf.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return project.run(*CHANGE)


def without_git(project: Project) -> Done:
    return fastperf(*CHANGE, cwd=project.folder, env={"PATH": "/nowhere"})


WALKS = [
    # The repository.
    Walk(
        "The repository has no commit: commit the project first.",
        run("sh", "-c", "rm -rf .git && git init -q"),
        commit,
    ),
    Walk(
        "is not committed: commit the project first.",
        steps(git("rm", "-q", "--cached", FILE), git("commit", "-qm", "x")),
        commit,
    ),
    Walk(
        "There are changes that are not committed (notes.txt):"
        " commit them first, or put them aside with git stash -u.",
        write("notes.txt", "mine"),
        git("stash", "-u"),
    ),
    *(
        Walk("A merge or rebase is under way here: finish it first.", spoil, git(*finish))
        for spoil, finish in (
            (in_a_merge, ("commit", "--no-edit")),
            (in_a_merge, ("merge", "--abort")),
            (in_a_rebase, ("rebase", "--continue")),
        )
    ),
    Walk(
        "keeps its files in",
        steps(
            git("worktree", "add", "-q", "../there"), git("config", "core.worktree", "../../there")
        ),
        of("there"),
    ),
    Walk(
        "has no content in this clone, which leaves contents out: run the command in a full clone.",
        without_contents,
        lambda project: (git("clone", "-q", "../origin", "../full")(project), of("full")(project))[
            1
        ],
    ),
    *(
        Walk(
            "is not in the work tree: bring it back with git restore, or where the checkout"
            " is sparse with git sparse-checkout disable, then try again.",
            spoil,
            git(*back),
        )
        for spoil, back in (
            (git("sparse-checkout", "set", "app"), ("sparse-checkout", "disable")),
            (steps(main_is_hidden, remove("app/main.py")), ("restore", "app/main.py")),
        )
    ),
    *(
        Walk(
            "differs from what is committed, though git status hides it:"
            " commit or restore it, then try again.",
            steps(main_is_hidden, main_is_edited),
            follow,
        )
        for follow in (
            git("restore", "app/main.py"),
            steps(git("update-index", "--no-assume-unchanged", "app/main.py"), commit),
        )
    ),
    Walk(
        "): restore it first.",
        steps(main_is_hidden, remove("app/main.py"), run("mkdir", "app/main.py")),
        git("restore", "app/main.py"),
    ),
    Walk(
        "Another git command is running here (index.lock): let it finish, then try again.",
        write(".git/index.lock", ""),
        remove(".git/index.lock"),
    ),
    # Its answers.
    Walk(
        "Choose another first: fastperf change",
        spoilt_answers("ci: github", "ci: jenkins"),
        steps(fast("change", "ci=none"), commit),
    ),
    Walk(
        "Choose another first: fastperf change",
        # Releases after 0.6.0 refuse a space of no width.
        steps(
            run("sh", "-c", f"git grep -lF '{TEXT}' | xargs sed -i 's/{TEXT}/A\u200b shop./'"),
            commit,
        ),
        steps(fast("change", "description=A shop."), commit),
        words=("update", "--release", "0.7.0"),
    ),
    *(
        Walk("is damaged (", spoilt_answers("ci: github", text), restore_answers)
        for text in ("ci: [", "ci: a\nci: b", "- a")
    ),
    Walk(
        f"{FILE} cannot be read:",
        steps(lambda project: (project.folder / FILE).write_bytes(b"\xff"), commit),
        restore_answers,
    ),
    Walk(
        "is not a project made by fastperf: it has no",
        nothing,
        nothing,
        start=lambda project: fastperf(*CHANGE, cwd=project.folder.parent),
    ),
    Walk(
        ": update it with the command that made it (copier update).",
        of_another_template,
        updated_by_copier,
    ),
    Walk(
        "install a newer release of fastperf-new, or restore",
        spoilt_answers(f"v{RELEASE}", "v99.0.0"),
        restore_answers,
    ),
    Walk(
        "This project was made from a working tree of the template that cannot be"
        " rendered again: make it anew from a release to have updates.",
        spoilt_answers(f"v{RELEASE}", "development"),
        make_anew,
    ),
    # What is in the way.
    Walk(
        "is in the way of the update: move it elsewhere first.",
        steps(run("mkdir", ".git/fastperf"), write(".git/fastperf/mine", "")),
        move_away(".git/fastperf"),
    ),
    Walk(
        "app/process_pool.py is in the way of the template: move it first.",
        steps(
            write("app/process_pool.py", ""), write(".git/info/exclude", "app/process_pool.py\n")
        ),
        move_away("app/process_pool.py"),
    ),
    # An update that was interrupted, or was not.
    *(
        Walk(
            "was changed after the update was interrupted:"
            " move your version elsewhere, then try again.",
            INTERRUPTED_AND_EDITED,
            move_away("app/main.py"),
            words=("update", how),
        )
        for how in ("--continue", "--abort")
    ),
    Walk(
        "run fastperf update --continue or fastperf update --abort there.",
        two_projects,
        lambda project: fast("update", "--abort")(Project(project.folder / "a")),
        start=lambda project: fastperf(*CHANGE, cwd=project.folder / "b"),
    ),
    Walk(
        "No update was interrupted here: there is nothing to finish or to take back.",
        nothing,
        nothing,
        words=("update", "--continue"),
        then=CHANGE,
    ),
    Walk(
        "The project is at its last commit: there is nothing to finish or to take back.",
        steps(
            interrupted,
            write(".git/fastperf/journal", "{"),
            git("reset", "--hard"),
            git("clean", "-fd"),
        ),
        nothing,
        words=("update", "--abort"),
        then=CHANGE,
    ),
    Walk(
        "Another update is running here: let it finish first.",
        nothing,
        nothing,
        start=beside_another,
    ),
    # What happens meanwhile.
    Walk(
        "There was a commit while the update was prepared: try again.",
        nothing,
        nothing,
        start=when("first(staging, 'checked', lambda: (save(), git('commit', '-qam', 'x')))"),
    ),
    Walk(
        "was staged while the update was prepared: commit it, then try again.",
        nothing,
        commit,
        start=when("first(staging, 'checked', lambda: (save(), git('add', '-A')))"),
    ),
    Walk(
        "was changed while the update ran, and stays as it is; nothing else"
        " was changed: commit your work, then try again.",
        nothing,
        commit,
        start=when("first(moving, 'go_forward', save)"),
    ),
    Walk(
        "Nothing was changed:",
        nothing,
        nothing,
        start=when("journal.write = full"),
    ),
    Walk(
        "): mend that, then run fastperf update --abort.",
        nothing,
        fast("update", "--abort"),
        start=when("first(index, 'put', full)", "apply._back = full"),
    ),
    Walk(
        "): mend that, then run fastperf update --continue.",
        nothing,
        steps(fast("update", "--continue"), commit),
        start=when("apply._finish.__globals__['journal'].forget = full"),
        then=("status",),
    ),
    Walk("git is not installed: install it, then try again.", nothing, nothing, start=without_git),
    # What was typed.
    *(
        Walk(says, nothing, nothing, words=words, then=then)
        for says, words, then in (
            (
                "is older: an update only goes forward.",
                ("update", "--release", "0.5.1"),
                ("update", "--dry-run"),
            ),
            (
                "There is no release '0.6': did you mean '0.6.0'?",
                ("update", "--release", "0.6"),
                ("update", "--release", "0.6.0"),
            ),
            (
                "There is no question 'proces_pool': did you mean 'process_pool'?",
                ("change", "proces_pool=yes"),
                CHANGE,
            ),
            ("is not an answer: write it as key=value.", ("change", "process_pool"), CHANGE),
            (
                "is given twice, with different values: keep one.",
                (*CHANGE, "process_pool=no"),
                CHANGE,
            ),
            ("takes yes or no, not 'maybe'", ("change", "process_pool=maybe"), CHANGE),
            (
                "server cannot be 'gunicor': did you mean 'gunicorn'?",
                ("change", "server=gunicor"),
                ("change", "server=gunicorn"),
            ),
            ("name cannot be 'class'", ("change", "name=class"), ("change", "name=classes")),
            (
                "makes no sense with the other answers: leave it out.",
                (*CHANGE, "broker=redis"),
                CHANGE,
            ),
        )
    ),
]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.says)
def test_who_does_what_a_refusal_says_has_a_working_project(make_project: Make, walk: Walk) -> None:
    project = make_project(RELEASE)
    walk.spoil(project)

    refused = walk.start(project) if walk.start else project.run(*walk.words)
    assert refused.returncode in (Exit.FAILED, Exit.WRONG_INPUT, Exit.NOT_READY), refused.stdout
    assert walk.says in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""

    led = walk.follow(project)
    project = led if isinstance(led, Project) else project
    done = project.run(*(walk.then or walk.words))
    assert done.returncode == Exit.DONE, done.stderr


# --- a new project --------------------------------------------------------------------------

SHOP, OTHER = (*NEW, "shop"), (*NEW, "other")
STAGED = "git init -q shop; cd shop; touch a; git add a; rm a"
BROKEN = "printf '[user\n' >gitconfig"
FROM_FILE = (*NEW, "shop", "--answers", "answers.yml")

NEW_WALKS: list[tuple[str, str, tuple[str, ...], str, tuple[str, ...]]] = [
    # The place.
    (
        "is not empty: choose another place for the project.",
        *("mkdir shop; touch shop/mine", SHOP, "", OTHER),
    ),
    ("is a file: choose another place for the project.", "touch shop", SHOP, "", OTHER),
    (": choose another place for the project.", "ln -s shop shop", SHOP, "", OTHER),
    (
        "there, and may have put more: remove that, then try again.",
        *("mkdir -p shop/.shop.x.fastperf", SHOP, "rm -r shop/.shop.x.fastperf", SHOP),
    ),
    (
        "is not a repository: remove it, or choose another place for the project.",
        *("mkdir -p shop/.git", SHOP, "rm -r shop/.git", SHOP),
    ),
    (
        "has staged files: commit or unstage them first.",
        *(STAGED, SHOP, "cd shop; git commit -qm x", SHOP),
    ),
    (
        "has staged files: commit or unstage them first.",
        *(STAGED, SHOP, "cd shop; git rm -q --cached a", SHOP),
    ),
    (": mend that, or add --no-git.", BROKEN, SHOP, "", (*SHOP, "--no-git")),
    (": mend that, or add --no-git.", BROKEN, SHOP, "rm gitconfig", SHOP),
    # The words.
    (
        "There is no terminal to ask at: add --yes, and answers with -d key=value.",
        *("", ("new", "shop", "--no-install"), "", SHOP),
    ),
    ("is missing: give it with -d name=...", "", NEW, "", (*NEW, "-d", "name=shop")),
    ("PATH is empty: name the folder of the new project.", "", (*NEW, ""), "", SHOP),
    ("answers.yml cannot be read:", "", FROM_FILE, "echo 'ci: none' >answers.yml", FROM_FILE),
    (
        "takes text, not 7: put it in quotes.",
        *("echo 'description: 7' >answers.yml", FROM_FILE),
        *("echo description: \\'7\\' >answers.yml", FROM_FILE),
    ),
]


@pytest.mark.parametrize("walk", NEW_WALKS, ids=lambda walk: walk[0])
def test_who_does_what_new_says_has_a_new_project(
    tmp_path: Path, walk: tuple[str, str, tuple[str, ...], str, tuple[str, ...]]
) -> None:
    says, spoil, words, follow, then = walk

    def shell(script: str) -> None:
        subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)

    def new(*arguments: str) -> Done:
        config = tmp_path / "gitconfig"  # one that is not there is an empty one
        if not config.exists():
            return fastperf(*arguments, cwd=tmp_path)
        return fastperf(*arguments, cwd=tmp_path, env={"GIT_CONFIG_GLOBAL": str(config)})

    shell(spoil)
    refused = new(*words)
    assert refused.returncode in (Exit.FAILED, Exit.WRONG_INPUT, Exit.NOT_READY), refused.stdout
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1

    shell(follow)
    done = new(*then)
    assert done.returncode == Exit.DONE, done.stderr
    assert (tmp_path / ("other" if "other" in then else "shop") / "app/main.py").exists()


# --- all of them ----------------------------------------------------------------------------

# What no walk above can bring about, or another test follows.
ELSEWHERE = {
    # Sentences with commands.
    "run git init, git add -A and git commit first.": "test_refusals.py::test_what_a_refusal_says_leads_to_the_change",
    "one is in and not committed: take it back with": "test_refusals.py::test_an_update_that_is_in_is_taken_back_as_it_says",
    "The journal of an interrupted update is damaged": "test_nothing_lost.py::test_a_damaged_journal_is_put_aside_once_the_project_is_clean",
    "but the project's files are those of": "test_reconcile.py::test_answers_and_files_that_contradict_each_other_are_set_right_first",
    "has no line for": "test_reconcile.py::test_answers_and_files_that_contradict_each_other_are_set_right_first",
    # The machine: another git, an undamaged file, another folder, room on the disk.
    "is too old: fastperf needs": "test_refusals.py::test_an_old_git_is_one_sentence",
    "The file of release": "test_releases.py::test_a_damaged_file_is_refused",
    "The current folder is gone: change to another one first.": "test_create.py::test_a_deleted_current_folder_is_one_sentence",
    "The folder": "test_create.py::test_a_deleted_current_folder_is_one_sentence",
    "cannot be written:": "test_create.py::test_a_full_disk_at_any_write_leaves_nothing",
    "cannot be rendered:": "test_cli.py::test_a_failing_render_leaves_nothing_and_takes_nothing",
    "Release ": "test_moves.py::test_a_damaged_list_in_a_release_is_refused",
    "ruff cannot be started": "test_moves.py::test_without_ruff_the_update_is_refused",
    "git has a file in a commit that leads out of it": "test_moves.py::test_a_path_that_leads_out_of_a_commit_is_refused",
    # What the owner has where something of the template moves to.
    "goes with this release: move yours elsewhere first": "test_moves.py::test_a_file_in_the_way_is_refused",
    # Between two calls of the system: nothing is done, and it is to be tried again.
    "is in the way: move it first.": "test_create.py::test_what_comes_meanwhile_is_not_overwritten",
    "keeps the index of the repository (index.lock)": "test_nothing_lost.py::test_what_a_second_git_does_meanwhile_is_never_undone",
    "is damaged.": "test_nothing_lost.py::test_each_git_call_may_fail",
    "failed:": "test_nothing_lost.py::test_each_git_call_may_fail",
    "printed nothing.": "test_nothing_lost.py::test_each_git_call_may_fail",
    "git does not know where": "test_nothing_lost.py::test_each_git_call_may_fail",
    "did not": "test_create.py::test_a_git_that_fails_is_never_an_answer",
    # Contradictions in what was typed.
    "--continue and --abort contradict each other: keep one.": "test_update.py::test_wrong_words_are_one_sentence",
    # Answered at a prompt.
    "Nothing was made.": "test_prompts.py::test_ctrl_c_and_ctrl_d_stop_at_every_prompt",
}


def refusals() -> Iterator[tuple[str, list[str]]]:
    """Give each place of the command that makes a refusal, and the parts of its sentence.

    A sentence that a function words is found where that function does.
    """
    kinds = {"RefusedError", "NotReadyError", "WrongInputError", "StoppedError", "GitError"}
    for path in sorted((ROOT / "src/fastperf_new").glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            if ast.unparse(node.func).rpartition(".")[2] not in kinds:
                continue
            wording: ast.AST = node.args[0]
            if isinstance(wording, ast.Call):
                wording = functions[ast.unparse(wording.func)]
                returned = [n.value for n in ast.walk(wording) if isinstance(n, ast.Return)]
            else:
                returned = [node.args[0]]
            for sentence in returned:
                if parts := _parts(sentence):
                    yield f"{path.name}:{node.lineno}", parts


def _parts(sentence: ast.AST | None) -> list[str]:
    """Return the parts of a sentence that are always the same."""
    whole = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
    texts = [part.value for part in whole if isinstance(part, ast.Constant)]
    return [text.strip() for text in map(str, texts) if len(text.strip()) > 5]


def follows(said: str, parts: list[str]) -> bool:
    return any(part in said or said in part for part in parts)


def test_every_refusal_is_followed() -> None:
    walked = {walk.says for walk in WALKS} | {walk[0] for walk in NEW_WALKS} | ELSEWHERE.keys()

    assert not [
        f"{where}: {parts}"
        for where, parts in refusals()
        if not any(follows(said, parts) for said in walked)
    ]
    assert len(list(refusals())) > 60


def test_what_is_followed_elsewhere_is_there() -> None:
    for said, name in ELSEWHERE.items():
        file, _, test = name.partition("::")
        assert f"def {test}(" in (ROOT / "tests" / file).read_text("utf-8"), name
        assert any(follows(said, parts) for _, parts in refusals()), said
