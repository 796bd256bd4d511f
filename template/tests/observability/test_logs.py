"""The format of the logs."""

import json
import logging
from collections.abc import Iterator

import pytest

from app.observability.logs import configure_logging, request_id
from app.settings import Settings


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
    token = request_id.set("r-1")

    logging.getLogger("shop").warning("sold\nout: %s", "tea 🍵", extra={"left": 0})

    request_id.reset(token)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "WARNING",
        "logger": "shop",
        "message": "sold\nout: tea 🍵",
        "request_id": "r-1",
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


def test_the_text_format_is_for_people(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings.model_copy(update={"log_format": "text"}))

    token = request_id.set("r-1")

    logging.getLogger("shop").info("sold", extra={"path": "/a\nCRITICAL forged"})

    request_id.reset(token)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r"INFO    shop sold path='/a\nCRITICAL forged' request_id='r-1'")


def test_the_server_logs_no_requests_of_its_own(settings: Settings) -> None:
    configure_logging(settings)

    assert not logging.getLogger("uvicorn.access").isEnabledFor(logging.INFO)
    assert logging.getLogger("uvicorn.error").propagate
