"""copier.yml says what may be asked, and everything wrong is found before anything is written."""

import subprocess
import sys
import unicodedata

import pytest

from fastperf_new import releases
from fastperf_new.answers import parse_pairs
from fastperf_new.errors import WrongInputError
from fastperf_new.printing import printable
from fastperf_new.questions import Answers, Questionnaire
from tests.conftest import ROOT

CAFE = """
_subdirectory: template
name: {type: str, help: Name}
drink: {type: str, choices: {Tea: tea, Coffee: coffee}, default: tea}
milk: {type: bool, default: "{{ drink == 'coffee' }}", when: "{{ drink != 'water' }}"}
kind:
  type: str
  choices: {Cow: cow, Oat: oat}
  default: cow
  when: "{{ milk }}"
size:
  type: str
  choices: {Small: small, Large: large}
  default: small
  validator: "{% if size == 'large' and drink == 'coffee' %}Coffee comes small.{% endif %}"
use_milk: {type: bool, default: "{{ milk }}", when: false}
"""


@pytest.fixture
def cafe() -> Questionnaire:
    return Questionnaire(CAFE)


@pytest.fixture(scope="module")
def ours() -> Questionnaire:
    return releases.get(releases.DEVELOPMENT).questionnaire


def test_defaults_follow_the_answers_before_them(cafe: Questionnaire) -> None:
    assert cafe.complete({"name": "a"}) == {
        "name": "a",
        "drink": "tea",
        "milk": False,
        "size": "small",
    }
    assert cafe.complete({"name": "a", "drink": "coffee"})["kind"] == "cow"


def test_an_answer_from_before_goes_with_its_question(cafe: Questionnaire) -> None:
    before: Answers = {"name": "a", "milk": True, "kind": "oat"}

    assert cafe.complete({"drink": "coffee"}, before)["kind"] == "oat"
    assert "kind" not in cafe.complete({"milk": False}, before)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["drink=cofee"], "drink cannot be 'cofee': did you mean 'coffee'?"),
        (["drink=x"], "drink cannot be 'x': it can be tea, coffee."),
        (["drnk=tea"], "There is no question 'drnk': did you mean 'drink'?"),
        (["use_milk=yes"], "There is no question 'use_milk'"),
        (["_commit=v1"], "There is no question '_commit'"),
        (["milk=maybe"], "milk takes yes or no, not 'maybe'."),
        (["drink"], "'drink' is not an answer: write it as key=value."),
        (["drink=tea", "drink=coffee"], "drink is given twice, with different values: keep one."),
        (["kind=oat"], "kind makes no sense with the other answers: leave it out."),
        (["drink=coffee", "size=large"], "size cannot be 'large': Coffee comes small."),
    ],
)
def test_what_is_wrong_is_one_sentence(
    cafe: Questionnaire, pairs: list[str], sentence: str
) -> None:
    with pytest.raises(WrongInputError) as refused:
        cafe.complete({"name": "a", **parse_pairs(pairs, cafe)})

    assert str(refused.value).startswith(sentence)


def test_a_required_answer_has_no_default(cafe: Questionnaire) -> None:
    with pytest.raises(WrongInputError, match="name is missing"):
        cafe.complete({})


@pytest.mark.parametrize("text", ["yes", "Yes", "true", "on"])
def test_yes_is_said_in_many_ways(cafe: Questionnaire, text: str) -> None:
    assert parse_pairs([f"milk={text}"], cafe) == {"milk": True}


@pytest.mark.parametrize("name", ["shop", "a", "shop2", "my-shop", "a1-b2-c3", "x" * 50])
def test_good_names(ours: Questionnaire, name: str) -> None:
    assert ours.complete({"name": name})["name"] == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "Shop",
        "2shop",
        "-a",
        "a-",
        "a--b",
        "a_b",
        "a.b",
        "../x",
        ".git",
        "a/b",
        "é",
        "class",
        "import",
        "app",
        "tests",
        "con",
        "fastapi",
        "pydantic-settings",
        "click",
        "rich",
        "x" * 51,
        "shop\n",
        'a"b',
        "a'b",
        "{{7*7}}",
        "{% raw %}",
        "$(id)",
        "a;b",
        "shop\u200b",
    ],
)
def test_bad_names(ours: Questionnaire, name: str) -> None:
    with pytest.raises(WrongInputError, match="name cannot be"):
        ours.complete({"name": name})


@pytest.mark.parametrize(
    "text",
    [
        *["", "  ", "\u3000", "x" * 201],
        *["a\nb", "a\tb", "a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "a\x9bb", "a\u2028b"],
        *["a\u061cb", "a\u200eb", "a\u200fb", "a\u202eb", "a\u2066b", "a\u2069b"],
        *["a\u200bb", "a\u2060b", "a\ufeffb", "a\udcffb", "a\uffffb"],
    ],
    ids=ascii,
)
def test_bad_descriptions(ours: Questionnaire, text: str) -> None:
    with pytest.raises(WrongInputError, match="description cannot be"):
        ours.complete({"name": "shop", "description": text})


def test_a_description_is_printed_as_it_is(ours: Questionnaire) -> None:
    """Or the line that makes a project again would make another."""
    for character in filter(_is_no_letter, map(chr, range(0x110000))):
        description = f"a{character}b"
        if not ours["description"].complaint(description, {}):
            assert printable(description) == description


def _is_no_letter(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Zs")


def test_every_choice_says_when_to_pick_it(ours: Questionnaire) -> None:
    for question in ours:
        assert question.help, question.key
        for label, value in (question.choices or {}).items():
            assert label.startswith(f"{value}: "), f"{question.key}: {label}"


def test_names_of_all_that_a_project_can_depend_on_are_refused(ours: Questionnaire) -> None:
    """Through other packages too: run `make names` when one is missing."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/names.py", "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = done.stdout.split()

    assert {"fastapi", "click", "rich", "colorama"} <= set(names)
    for name in names:
        with pytest.raises(WrongInputError, match=r"name cannot be .* depends on"):
            ours.complete({"name": name})
