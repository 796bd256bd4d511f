"""The format of the logs."""

import json
import logging
from collections.abc import Iterator
from time import time

import pytest
from pydantic import TypeAdapter, ValidationError

from app.observability.context import RequestContext, current_request
from app.observability.logs import (
    RequestRecord,
    configure_logging,
)
from app.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_line_of_json_with_its_request(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings)
    token = current_request.set(RequestContext("r-1", {}))

    logging.getLogger("shop").warning("sold\nout: %s", "tea 🍵", extra={"left": 0})

    current_request.reset(token)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "WARNING",
        "logger": "shop",
        "message": "sold\nout: tea 🍵",
        "request_id": "r-1",
        "route": None,
        "left": 0,
    }


def test_an_exception_stays_on_the_line(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings)

    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("shop").exception("failed")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["exception"].endswith("RuntimeError: boom")


def test_what_was_not_valid_is_not_repeated(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings)

    try:
        TypeAdapter(dict[str, int]).validate_python({"password": "hunter2"})
    except ValidationError:
        logging.getLogger("shop").exception("failed")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["exception"].endswith("ValidationError: ('password',)")
    assert "hunter2" not in line.replace('{"password": "hunter2"}', "").replace(
        '{\\"password\\": \\"hunter2\\"}', ""
    )


def test_the_text_format_is_for_people(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings.model_copy(update={"log_format": "text"}))

    token = current_request.set(RequestContext("r-1", {}))

    logging.getLogger("shop").info("sold", extra={"path": "/a\nCRITICAL forged"})

    current_request.reset(token)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r"INFO    shop sold request_id='r-1' path='/a\nCRITICAL forged'")


def test_the_server_logs_no_requests_of_its_own(settings: Settings) -> None:
    configure_logging(settings)

    assert not logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO)
    assert logging.getLogger("uvicorn.error").propagate


@pytest.mark.parametrize(
    ("message", "more"),
    [('%s - "WebSocket %s" [accepted]', ()), ('%s - "WebSocket %s" %d', (403,))],
)
def test_a_websocket_is_logged_without_its_query(
    settings: Settings, capsys: pytest.CaptureFixture[str], message: str, more: tuple[int, ...]
) -> None:
    configure_logging(settings)

    logging.getLogger("uvicorn.error").info(message, "10.0.0.1", "/live?token=hunter2", *more)

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"].startswith('10.0.0.1 - "WebSocket /live" ')


async def test_requests_are_written_together_and_before_what_comes_after_them(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings)
    logger = logging.getLogger("shop")

    logger.handle(RequestRecord("shop", "request", "r-1", {"path": "/1"}, time()))
    logger.handle(RequestRecord("shop", "request", "r-1", {"path": "/2"}, time()))
    assert capsys.readouterr().err == ""  # not yet
    logger.warning("sold out")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["request", "request", "sold out"]
    assert [line.get("path") for line in lines] == ["/1", "/2", None]


async def test_a_request_that_is_no_utf_8_is_written(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings)

    logging.getLogger("shop").handle(
        RequestRecord("shop", "request", "r-1", {"path": "/\ud800"}, time())
    )
    logging.getLogger().handlers[0].flush()

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["path"] == "/\ud800"


def test_a_request_has_the_attributes_of_any_record() -> None:
    record = RequestRecord("shop", "request", "r-1", {}, time())

    assert vars(logging.makeLogRecord({})).keys() <= vars(record).keys()


async def test_a_record_that_cannot_be_formatted_takes_nothing_with_it(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    configure_logging(settings)
    logger = logging.getLogger("shop")

    logger.handle(RequestRecord("shop", "request", "r-1", {"path": "/1"}, time()))
    logger.warning("%d left", "none")

    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["path"] == "/1"
