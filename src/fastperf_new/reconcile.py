"""Whether what a project's answers say is what its files show.

People delete the example by hand, or edit the answers file. An update that believed the answers
would then add files beside nothing, or take those that are there for the user's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from fastperf_new.errors import WrongInputError
from fastperf_new.questions import Answer, Answers, Question
from fastperf_new.releases import Release


@dataclass(frozen=True)
class Contradiction:
    """A question whose recorded answer the files contradict.

    Attributes:
        shown: the answer that the files show.
        gone: the files that tell so: they should be there and are not.
        has_own: whether files of the shown answer are there that the recorded one does not have.
    """

    key: str
    shown: Answer
    gone: frozenset[str]
    has_own: bool


def contradictions(release: Release, answers: Answers, there: set[str]) -> list[Contradiction]:
    """Return the answers whose modules are gone from a project, and what it shows instead.

    Args:
        answers: complete ones, of this release.
        there: the project's files.
    """
    base = _modules(release, answers)
    if base <= there:
        return []
    others = {
        (question.key, answer): _modules(release, complete)
        for question in release.questionnaire
        for answer, complete in _others(release, question, answers)
    }
    found = []
    for question in release.questionnaire:
        best: tuple[int, Contradiction] | None = None
        for (key, answer), modules in others.items():
            if key != question.key:
                continue
            shared = [base - more for (other, _), more in others.items() if other != key]
            own = base - modules - set().union(*shared)
            gone = own - there
            if len(gone) * 2 <= len(own):
                continue
            far = len((modules ^ there) & (base | modules))
            if best is None or far < best[0]:
                has_own = bool((modules - base) & there)
                best = far, Contradiction(key, answer, frozenset(gone), has_own)
        if best:
            found.append(best[1])
    return found


def nearest_answer(
    release: Release, question: Question, answers: Answers, there: set[str]
) -> Answer | None:
    """Return the answer to a question with which the release is nearest to a project's files.

    Returns:
        None when no answer stands out.
    """
    far: dict[Answer, int] = {}
    every: set[str] = set()
    modules = {
        answer: _modules(release, complete)
        for answer, complete in _others(release, question, {**answers, question.key: ""})
    }
    every = set().union(*modules.values())
    far = {answer: len((paths ^ there) & every) for answer, paths in modules.items()}
    nearest = [answer for answer, distance in far.items() if distance == min(far.values())]
    return nearest[0] if len(nearest) == 1 else None


def _others(
    release: Release, question: Question, answers: Mapping[str, Answer]
) -> Iterator[tuple[Answer, Answers]]:
    """Give the other answers to a question, each with all answers that then hold."""
    for value in question.values if question.key in answers else []:
        answer = question.parse(value)
        if answer == answers[question.key] or question.key == "preset":
            continue
        try:
            complete = release.questionnaire.complete({question.key: answer}, recorded=answers)
        except WrongInputError:
            continue  # what cannot be had beside the others is not shown
        yield answer, complete


def _modules(release: Release, answers: Answers) -> set[str]:
    """Return the modules of the service that a release has with these answers."""
    return {
        path
        for path in release.paths(answers)
        if PurePosixPath(path).parts[0] == "app" and path.endswith(".py")
    }
