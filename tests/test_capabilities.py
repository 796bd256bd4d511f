"""Each capability is declared once, and all that follows from it agrees with capabilities.yml."""

import itertools

import pytest
from pathspec import GitIgnoreSpec

from fastperf_new import releases
from fastperf_new.questions import Answer
from scripts.capabilities import declared, written
from tests.conftest import ROOT
from tests.harness.support import combinations, name_of

CAPABILITIES = declared()


def test_copier_yml_is_as_the_capabilities_are_declared() -> None:
    """`make capabilities` writes it."""
    text = (ROOT / "copier.yml").read_text("utf-8")

    assert written(text, CAPABILITIES) == text


def test_a_part_without_a_place_in_copier_yml_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for the switches"):
        written("_exclude: []\n", CAPABILITIES)


def test_each_declared_path_is_there() -> None:
    template = ROOT / "template"
    patterns = [path for one in CAPABILITIES for path in one.paths]

    assert patterns
    for pattern in patterns:
        found = list(template.glob(pattern)) + list(template.glob(f"{pattern}.jinja"))
        assert found, pattern


def test_no_path_is_declared_twice_by_one_capability() -> None:
    for capability in CAPABILITIES:
        assert len(set(capability.paths)) == len(capability.paths), capability.name


def test_a_capability_depends_on_others_that_are_declared() -> None:
    names = {one.name for one in CAPABILITIES if one.when}

    for capability in CAPABILITIES:
        others = {*capability.any, *capability.all} | ({capability.without} - {""})
        assert others <= names, capability.name
        assert bool(capability.when) != bool(others), capability.name


def test_each_answer_has_words_of_its_own() -> None:
    """A capability without words could leave traces that no test looks for."""
    questionnaire = releases.get(releases.DEVELOPMENT).questionnaire
    base = {"name": "shop", "preset": "standard", "tasks": "celery", "database": "postgresql"}
    compared = 0
    for question in questionnaire:
        if not question.values or question.key == "preset":
            continue
        on = {}
        for value in question.values:
            answers = questionnaire.complete({**base, question.key: question.parse(value)})
            switches = questionnaire.derived(answers)
            on[value] = {one.name for one in CAPABILITIES if one.words and one.is_on(switches)}
        for value, other in itertools.permutations(question.values, 2):
            # Kubernetes has all that Docker has.
            if value not in {"none", "no"} and (value, other) != ("docker", "kubernetes"):
                assert on[value] - on[other], f"{question.key}={value} brings no words"
                compared += 1
    assert compared > 20


@pytest.mark.parametrize("answers", combinations(), ids=name_of)
def test_a_project_has_the_paths_of_its_capabilities(answers: dict[str, Answer]) -> None:
    """What is off has none; what is on has at least one of its own."""
    release = releases.get(releases.DEVELOPMENT)
    switches = release.questionnaire.derived(answers)
    there = release.paths(answers)
    for capability in CAPABILITIES:
        own = GitIgnoreSpec.from_lines(f"/{path}" for path in capability.paths)
        found = list(own.match_files(there))
        assert bool(found) == (capability.is_on(switches) and bool(capability.paths)), capability
