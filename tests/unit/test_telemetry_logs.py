"""The structured log: one JSON object a line, on stderr."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.telemetry.logs import JsonFormatter, configure_logging


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The root of our loggers as a fresh process has it; put back afterwards."""
    root = logging.getLogger("ocr_serve")
    handlers, level, propagate = root.handlers, root.level, root.propagate
    root.handlers = []
    yield root
    root.handlers, root.propagate = handlers, propagate
    root.setLevel(level)


def formatted(message: str = "page done", *args: object, **extra: Any) -> dict[str, Any]:
    record = logging.LogRecord("ocr_serve.pages", logging.INFO, "file", 1, message, args, None)
    vars(record).update(extra)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    value: dict[str, Any] = json.loads(line)
    return value


def test_a_record_is_an_object_with_what_was_given_as_extra() -> None:
    line = formatted(model="ocr", page=3, queue_s=0.25)
    time = line.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", time)
    assert line == {
        "level": "INFO",
        "logger": "ocr_serve.pages",
        "event": "page done",
        "model": "ocr",
        "page": 3,
        "queue_s": 0.25,
    }


def test_arguments_are_put_into_the_event() -> None:
    assert formatted("%s of %d", "two", 3)["event"] == "two of 3"


def test_one_line_whatever_the_text() -> None:
    line = formatted("a\nb", text="é 中文 \u2028 \x1b[31m")
    assert (line["event"], line["text"]) == ("a\nb", "é 中文 \u2028 \x1b[31m")


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    assert formatted(path=Path("/tmp/x"))["path"] == "/tmp/x"


def test_an_exception_has_its_traceback(logger: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("load failed")
    assert "ValueError: boom" in json.loads(out.getvalue())["exception"]


def test_configuring_twice_writes_once_to_stderr(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("WARNING")
    configure_logging("INFO")
    logging.getLogger("ocr_serve.models").info("model loaded", extra={"pid": 7})
    logging.getLogger("ocr_serve.models").debug("not at this level")
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert (json.loads(line)["event"], json.loads(line)["pid"]) == ("model loaded", 7)
    assert captured.out == ""
    assert not logger.propagate
