"""Lines of the log: what each says, where it goes, and what never stands in it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.support.waiting import wait_until

from ragstone.errors import StoreFailed
from ragstone.settings import TelemetrySettings
from ragstone.telemetry.caller import Caller, bind_log_fields, set_caller
from ragstone.telemetry.log_lines import Batches, RotatingFile
from ragstone.telemetry.logs import configure_logs
from ragstone.telemetry.redaction import Redactor

LIMIT_S = 30.0
Line = dict[str, Any]


@pytest.fixture(autouse=True)
def _logs_put_back() -> Iterator[None]:
    """The configuration of logs is as it was when the test ends."""
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    set_caller(Caller())


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[Line]:
    """What was written so far."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def fail(message: str) -> None:
    """Raise."""
    raise ValueError(message)


def settings(**changed: object) -> TelemetrySettings:
    """JSON at debug, so that nothing waits."""
    return TelemetrySettings.model_validate({"log_format": "json", "log_level": "debug", **changed})


def test_a_line_says_where_when_and_for_whom(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, logger, module, function, line, environment, request, and what is bound."""
    configure_logs(settings(environment="rehearsal"))
    set_caller(Caller("http", "request-1"))
    bind_log_fields(job_id="job-1")

    structlog.get_logger("ragstone.tests").info("http_response", status=200)

    (line,) = lines_of(capsys)
    assert line["timestamp"].endswith("Z")
    told = {name: line[name] for name in ("event", "level", "logger", "environment", "status")}
    assert told == {
        "event": "http_response",
        "level": "info",
        "logger": "ragstone.tests",
        "environment": "rehearsal",
        "status": 200,
    }
    assert line["function"] == "test_a_line_says_where_when_and_for_whom"
    assert line["module"] == __name__
    assert isinstance(line["line"], int)
    assert (line["request_id"], line["job_id"]) == ("request-1", "job-1")


def test_an_exception_has_kinds_and_places_but_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Its message may quote a user; what the system says of a file may be told, the file's name may not."""
    configure_logs(settings(log_level="info"))
    log = structlog.get_logger()

    def read() -> None:
        try:
            Path("/nowhere/diary-of-heron.txt").read_text("utf-8")
        except OSError as error:
            raise StoreFailed("The heron's diary is away.") from error

    try:
        read()
    except StoreFailed:
        log.exception("error", code="store_failed")

    written = capsys.readouterr().err
    assert "heron" not in written.lower()
    outer, inner = json.loads(written)["exception"]
    assert (outer["type"], outer["code"]) == ("StoreFailed", "store_failed")
    assert (inner["type"], inner["reason"]) == ("FileNotFoundError", "No such file or directory")
    assert any(frame.startswith(f"{__name__}.read:") for frame in outer["frames"])


def test_messages_of_exceptions_come_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    """For whoever looks for a fault on a machine of their own."""
    configure_logs(settings())
    try:
        fail("what it was")
    except ValueError:
        structlog.get_logger().exception("error")

    assert lines_of(capsys)[0]["exception"][0]["message"] == "what it was"


def test_libraries_go_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """Their warnings are lines like ours, without secrets and without the words of exceptions."""
    root = logging.getLogger()
    root.handlers.clear()
    configure_logs(settings(log_level="info"), ["s3cret-word"])

    try:
        fail("heron")
    except ValueError:
        logging.getLogger("uvicorn").exception("Went wrong with s3cret-word\nheron")

    (line,) = lines_of(capsys)
    assert (line["event"], line["logger"], line["level"]) == ("library_log", "uvicorn", "error")
    assert line["message"] == "Went wrong with ***"
    assert "heron" not in json.dumps(line)


def test_a_line_of_level_info_may_wait_a_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """It comes before the next one that matters, and soon by itself."""
    configure_logs(settings(log_level="info"))
    log = structlog.get_logger()

    log.info("first")
    log.warning("second")
    seen = [line["event"] for line in lines_of(capsys)]
    log.info("third")

    assert seen == ["first", "second"]
    assert wait_until(lambda: lines_of(capsys) or None, LIMIT_S)[0]["event"] == "third"


def test_lines_of_many_threads_are_all_written_once() -> None:
    """Whole, and each thread's in its order."""
    written: list[str] = []
    writer = Batches[str](written.extend, 0.001)

    def write(name: int) -> None:
        for number in range(500):
            writer.add(f"{name} {number}", is_urgent=number % 50 == 0)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    writer.flush()

    assert len(written) == 2000
    for name in range(4):
        mine = [int(line.split()[1]) for line in written if line.startswith(f"{name} ")]
        assert mine == list(range(500))


def test_the_file_is_rotated(tmp_path: Path) -> None:
    """By size; the oldest goes when there are more than are kept."""
    path = tmp_path / "logs" / "ragstone.log"
    file = RotatingFile(path, max_bytes=30, count=2)

    for number in range(8):
        file(f"line {number:02} of ten b\n")
    file.close()

    names = sorted(found.name for found in path.parent.iterdir())
    assert names == ["ragstone.log", "ragstone.log.1", "ragstone.log.2"]
    assert path.read_text("utf-8") == "line 07 of ten b\n"
    assert path.with_name("ragstone.log.2").read_text("utf-8") == "line 05 of ten b\n"


def test_a_file_that_cannot_be_written_is_told_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the program goes on."""
    (tmp_path / "file").write_text("")
    file = RotatingFile(tmp_path / "file" / "log", max_bytes=1024, count=1)

    file("one\n")
    file("two\n")

    assert capsys.readouterr().err.count("cannot be written") == 1


def test_the_file_has_json_while_people_see_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both without secrets."""
    path = tmp_path / "ragstone.log"
    configure_logs(settings(log_format="console", log_file=path), ["s3cret-word"])

    structlog.get_logger("x").warning("disk_full", told="by s3cret-word", free_bytes=7)

    shown, kept = capsys.readouterr().err, json.loads(path.read_text("utf-8"))
    assert not shown.startswith("{")
    assert "disk_full" in shown
    assert (kept["event"], kept["free_bytes"], kept["told"]) == ("disk_full", 7, "by ***")
    assert "s3cret-word" not in shown


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("redis://default:hunter2@cache:6379/0 is away", "redis://***@cache:6379/0 is away"),
        ("Authorization: Bearer abc.DEF-123", "Authorization: Bearer ***"),
        ('{"api_key": "k-123456"}', '{"api_key": "***"}'),
        ("api-key=abcdef12 and more", "api-key=*** and more"),
        ("sk-proj-abcdefgh12345 was refused", "*** was refused"),
        ("password: hunter2.", "password: ***"),
        ("prompt_tokens=120, tokens: 9", "prompt_tokens=120, tokens: 9"),
        ("http://127.0.0.1:8321/v1/ask", "http://127.0.0.1:8321/v1/ask"),
        ('it said zW9-"quoted" aloud', "it said *** aloud"),
        ('{"told": "zW9-\\"quoted\\""}', '{"told": "***"}'),
    ],
)
def test_secrets_are_known_by_value_and_by_look(text: str, cleaned: str) -> None:
    """The configured ones wherever they stand, escaped, too; others by what stands before them."""
    assert Redactor(['zW9-"quoted"', "abc"]).clean(text) == cleaned
