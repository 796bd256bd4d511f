"""Whatever is typed, a prompt gives an answer that its question takes, or stops."""

from collections.abc import Iterator

import pytest
import questionary
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from fastperf_new import prompts
from fastperf_new.errors import StoppedError
from fastperf_new.questions import Answers, Questionnaire

CAFE = """
name: {type: str, help: Name, validator: "{% if not name or name | length > 50 %}Short.{% endif %}"}
preset: {type: str, help: Preset, choices: {Small: small, Large: large}, default: large}
database: {type: str, help: Database, choices: {Tin: tin, Jar: jar}, default: tin}
milk: {type: bool, help: Milk, default: true}
sugar: {type: bool, help: Sugar, default: false}
size:
  type: str
  help: Size
  choices: {Cup: cup, Pot: pot}
  default: cup
  validator: "{% if size == 'pot' and milk %}A pot has no milk.{% endif %}"
"""
CHOSEN: Answers = {"name": "tea", "preset": "large", "database": "tin"}
ENTER, DOWN, ESC = "\r", "\x1b[B", "\x1b"


@pytest.fixture
def cafe() -> Questionnaire:
    return Questionnaire(CAFE)


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """What is typed."""
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


def press(keys: PipeInput, text: str) -> None:
    """Type, and then hang up: a prompt that waits for more stops."""
    keys.send_text(text)
    keys.close()


ODD_KEYS = {
    "esc": ESC,
    "esc esc": ESC + ESC,
    "alt-x": ESC + "x",
    "letters": "shop",
    "many letters": "x" * 5000,
    "pasted lines": "\x1b[200~a\rb\nc\x1b[201~",
    "left, right, home, end, delete, F1": "\x1b[D\x1b[C\x1b[H\x1b[F\x1b[3~\x1bOP",
    "controls": "\x00\x01\x02\x05\x06\x07\x0b\x0c\x0f\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e\x1f",
    "backspace": "\x7f",
}


@pytest.mark.parametrize("odd", ODD_KEYS.values(), ids=list(ODD_KEYS))
def test_odd_keys_do_nothing_at_lists_and_at_yes_or_no(
    cafe: Questionnaire, keys: PipeInput, odd: str
) -> None:
    """Esc, Enter answered with the empty text of a hidden line, and with no for yes."""
    typed = ["tea", odd, odd + DOWN, "y" + odd, odd, odd]
    press(keys, "".join(text + ENTER for text in typed))

    assert prompts.ask(cafe, {}) == {
        **CHOSEN,
        **{"database": "jar", "milk": True, "sugar": False, "size": "cup"},
    }


@pytest.mark.parametrize("text", ["", "x" * 5000], ids=len)
def test_a_text_that_is_refused_is_typed_again(
    cafe: Questionnaire, keys: PipeInput, text: str
) -> None:
    press(keys, f"{text}{ENTER}{ESC}{ENTER}\x05\x15tea{ESC}{ENTER}{ENTER}{ENTER}n")

    assert prompts.ask(cafe, {}) == CHOSEN


@pytest.mark.parametrize("before", ["", ENTER, ENTER * 2, ENTER * 2 + "y"], ids=ascii)
@pytest.mark.parametrize("stop", ["\x03", "\x04"], ids=["ctrl-c", "ctrl-d"])
def test_ctrl_c_and_ctrl_d_stop_at_every_prompt(
    cafe: Questionnaire, keys: PipeInput, before: str, stop: str
) -> None:
    press(keys, (f"tea{ENTER}{before}" if before else "") + stop + ENTER * 4)

    with pytest.raises(StoppedError, match="Nothing was made"):
        prompts.ask(cafe, {})


def test_a_choice_that_is_refused_is_asked_again(cafe: Questionnaire, keys: PipeInput) -> None:
    press(keys, f"yy{ENTER}{DOWN}{ENTER}{ENTER}")

    answers = prompts.ask(cafe, CHOSEN)

    assert (answers["milk"], answers["size"]) == (True, "cup")


def test_what_comes_back_is_looked_at(
    cafe: Questionnaire, keys: PipeInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else a prompt may give."""
    given = iter(["", "puddle", "large"])
    monkeypatch.setattr(questionary.Question, "unsafe_ask", lambda _: next(given))

    assert prompts.ask(cafe, {"name": "tea", "database": "tin", **REST})["preset"] == "large"


REST: Answers = {"milk": True, "sugar": False, "size": "cup"}
