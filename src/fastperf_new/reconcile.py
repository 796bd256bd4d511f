"""Compare a project's recorded answers with its files.

People delete the example by hand, or edit the answers file. An update that believed the answers
would then add files beside nothing, or take those that are there for the user's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fastperf_new.errors import WrongInputError
from fastperf_new.questions import Answer, Answers, Question
from fastperf_new.releases import Release


@dataclass(frozen=True)
class Contradiction:
    """A question whose recorded answer the files contradict.

    Attributes:
        shown: the answer that the files show.
        gone: the modules that tell so, as they should be there and are not.
        never: whether no file is there that only the recorded answer brings: the project was
            not made with it.
    """

    key: str
    shown: Answer
    gone: frozenset[str]
    never: bool


def contradictions(release: Release, answers: Answers, there: set[str]) -> list[Contradiction]:
    """Return the answers that a project's modules contradict, and what it shows instead.

    Args:
        answers: complete ones, of this release.
        there: the project's files.
    """
    base = release.paths(answers)
    others = {
        (question.key, answer): release.paths(complete)
        for question in release.questionnaire
        for answer, complete in _others(release, question, answers)
    }
    found: dict[str, tuple[int, Contradiction]] = {}
    for (key, answer), paths in others.items():
        rest = [more for (other, _), more in others.items() if other != key]
        own = _modules(base - paths - set().union(*(base - more for more in rest)))
        more = _modules(paths - base - set().union(*(more - base for more in rest)))
        gone = own - there
        # One file may be the user's own by chance; all of several are not.
        if len(gone) * 2 <= len(own) and not (len(more) > 1 and more <= there):
            continue
        far = len(_modules((paths ^ there) & (base | paths)))
        if key not in found or far < found[key][0]:
            never = not (base - paths) & there
            found[key] = far, Contradiction(key, answer, frozenset(gone), never)
    return [one for _, one in found.values()]


def nearest_answer(
    release: Release, question: Question, answers: Answers, there: set[str]
) -> Answer | None:
    """Return the answer to a question with which the release is nearest to a project's files.

    Returns:
        None when no answer stands out.
    """
    paths = {
        answer: _modules(release.paths(complete))
        for answer, complete in _others(release, question, {**answers, question.key: ""})
    }
    every = set().union(*paths.values())
    far = {answer: len((modules ^ there) & every) for answer, modules in paths.items()}
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


def _modules(paths: set[str]) -> set[str]:
    """Return the modules of the service among paths."""
    return {path for path in paths if path.startswith("app/") and path.endswith(".py")}
