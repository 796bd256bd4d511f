"""Sets of answers in which every few answers that can stand together do so."""

import itertools
import random

from fastperf_new.errors import WrongInputError
from fastperf_new.questions import Answer, Answers, Questionnaire

Part = frozenset[tuple[str, Answer]]

CANDIDATES = 15
TRIES = 1000  # after so many a combination counts as refused


def covering(questionnaire: Questionnaire, strength: int) -> list[Answers]:
    """Return few sets of answers that hold every possible combination of `strength` answers.

    The same questions give the same sets. Combinations that `questionnaire` refuses are left out.
    """
    chance = random.Random(0)  # noqa: S311  (no secret)
    options = {
        question.key: [question.parse(value) for value in question.values]
        for question in questionnaire
        if question.values
    }
    missing = {
        frozenset(zip(keys, values, strict=True)): None  # a set that keeps its order
        for keys in itertools.combinations(options, strength)
        for values in itertools.product(*(options[key] for key in keys))
    }
    taken: list[Answers] = []
    while missing:
        wanted = next(iter(missing))
        candidates = _candidates(questionnaire, options, wanted, chance)
        del missing[wanted]
        if candidates:
            best = max(candidates, key=lambda one: len(_parts(one, strength) & missing.keys()))
            taken.append(best)
            for part in _parts(best, strength) & missing.keys():
                del missing[part]
    return taken


def _candidates(
    questionnaire: Questionnaire,
    options: dict[str, list[Answer]],
    wanted: Part,
    chance: random.Random,
) -> list[Answers]:
    """Return sets of answers that hold the wanted part; none when it is always refused."""
    found: list[Answers] = []
    for _ in range(TRIES):
        given = {key: chance.choice(values) for key, values in options.items()} | dict(wanted)
        if answers := _complete(questionnaire, given, dict(wanted)):
            found.append(answers)
            if len(found) == CANDIDATES:
                break
    return found


def _complete(questionnaire: Questionnaire, given: Answers, wanted: Answers) -> Answers | None:
    """Return complete answers, without those that the others leave out; None when refused."""
    answers: Answers = {"name": "shop"}
    for question in questionnaire:
        if question.key in given and question.is_asked(answers):
            answers[question.key] = given[question.key]
        elif question.key in wanted:
            return None
    try:
        return questionnaire.complete(answers)
    except WrongInputError:
        return None


def _parts(answers: Answers, strength: int) -> set[Part]:
    return {frozenset(several) for several in itertools.combinations(answers.items(), strength)}
