"""The command line, the environment that Ray is started with, and the waiting for readiness."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from serve_app import deploy_status
from serve_app.command import cli, environment, launch
from serve_app.command.endpoint import Endpoint, answers_ok, asks_for_loopback
from serve_app.command.launch import wait_until_ready

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "configs" / "local.yaml"


def test_check_of_a_good_file_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(LOCAL)]) == 0
    assert capsys.readouterr().out == f"{LOCAL}: ok\n"


def test_check_of_a_bad_file_is_1_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(LOCAL.read_text().replace("engine:", "engin:", 1))
    assert cli.main(["check", str(LOCAL), str(bad)]) == 1
    assert capsys.readouterr().err == (
        f"{bad}: applications[0].args.models.ocr.engin: unknown key, did you mean 'engine'?\n"
    )


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check"], ["run", "a", "b"]])
def test_wrong_arguments_are_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: ocr-serve" in capsys.readouterr().err


def test_subcommands_are_listed_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"    {name} " in text for name in ("check", "run", "weights", "env", "version"))


def test_env_prints_what_ray_must_be_started_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env"]) == 0
    printed = capsys.readouterr().out
    assert "RAY_memory_usage_threshold=0.98\n" in printed
    assert "RAY_AUTH_MODE=token\n" in printed


def test_interrupt_ends_a_command_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_check", interrupted)
    assert cli.main(["check", "x"]) == 130
    assert capsys.readouterr().err == "ocr-serve: interrupted\n"


def test_module_is_the_command_and_starts_without_heavy_imports() -> None:
    code = (
        "import sys, runpy; sys.argv = ['ocr-serve', 'env']\n"
        "try: runpy.run_module('serve_app', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'ray', 'paddle', 'paddlex', 'fastapi'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


# --- environment -----------------------------------------------------------------------------


def test_environment_adds_only_what_is_missing(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "RAY_memory_usage_threshold": "0.9"}
    added = environment.apply(environ)
    assert environ["RAY_memory_usage_threshold"] == "0.9"
    assert "RAY_memory_usage_threshold" not in added
    assert environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] == "True"
    assert environment.apply(environ) == {}


def test_token_is_kept_in_a_writable_home(tmp_path: Path) -> None:
    added = environment.missing_variables({"HOME": str(tmp_path)})
    assert added["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN" not in added
    assert list((tmp_path / ".ray").iterdir()) == []


def test_token_is_of_this_run_only_without_a_writable_home(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "missing")}
    one, two = (environment.missing_variables(environ)["RAY_AUTH_TOKEN"] for _ in range(2))
    assert len(one) == 64
    assert one != two


@pytest.mark.parametrize(
    ("environ", "added"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, {}),
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, {}),
        ({"RAY_AUTH_TOKEN": "t"}, {"RAY_AUTH_MODE": "token"}),
        ({"RAY_AUTH_TOKEN_PATH": "/run/token"}, {"RAY_AUTH_MODE": "token"}),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t"}, {}),
    ],
)
def test_choice_of_the_operator_wins(environ: dict[str, str], added: dict[str, str]) -> None:
    assert environment.auth_variables(environ, home_writable=False) == added


def test_a_mode_that_was_set_before_gets_a_token_too(tmp_path: Path) -> None:
    """The images' entry point sets it for every command."""
    environ = {"HOME": str(tmp_path / "missing"), "RAY_AUTH_MODE": "token"}
    assert len(environment.missing_variables(environ)["RAY_AUTH_TOKEN"]) == 64


def test_ray_elsewhere_is_spoken_to_as_it_wishes() -> None:
    environ = {"HOME": "/nonexistent", "RAY_ADDRESS": "10.0.0.1:6379"}
    assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & environment.missing_variables(environ).keys()


def test_a_token_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir(mode=0o755)
    token.write_text("t")
    token.chmod(0o644)
    environment.apply({"HOME": str(tmp_path)})
    assert [path.stat().st_mode & 0o777 for path in (token.parent, token)] == [0o700, 0o600]
    assert token.read_text() == "t"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)],
)
def test_ray_is_kept_to_this_machine_where_the_server_is(
    tmp_path: Path, host: str, loopback: bool
) -> None:
    file = tmp_path / "config.yaml"
    # Broken further below, so that nothing is started; what Ray needs is set before the check.
    file.write_text(f"http_options: {{host: '{host}'}}\napplications: [{{typo: 1}}]\n")
    environ = {"HOME": str(tmp_path)}
    assert launch.run(file, ready_timeout_s=1, dashboard=False, environ=environ) == 1
    assert (environ.items() >= environment.LOOPBACK.items()) is loopback


@pytest.mark.parametrize("text", ["", "[", "- a", "http_options: 5\n", "applications: {}\n"])
def test_a_broken_file_asks_for_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert not asks_for_loopback(file)


# --- launch ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "route_prefix", "url"),
    [
        (None, "/", "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0", "port": 9000}, "/", "http://127.0.0.1:9000"),
        ({"host": "::"}, "/", "http://[::1]:8000"),
        ({"host": "ocr.local", "ssl_certfile": "a.pem"}, "/", "https://ocr.local:8000"),
        ({}, "/ocr", "http://127.0.0.1:8000/ocr"),
    ],
)
def test_url_of_a_config(options: dict[str, object] | None, route_prefix: str, url: str) -> None:
    config = {"http_options": options, "applications": [{"route_prefix": route_prefix}]}
    assert Endpoint.of(config).url == url


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_run_refuses_a_port_in_use(
    tmp_path: Path, taken_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    text, changed = re.subn(r"(?m)^  port: \d+$", f"  port: {taken_port}", LOCAL.read_text())
    assert changed == 1
    file.write_text(text)
    code = launch.run(file, ready_timeout_s=1, dashboard=False, environ={"HOME": str(tmp_path)})
    assert code == 1
    assert f"port {taken_port} of 127.0.0.1 is in use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content_type", "ours"), [("application/json", True), ("text/plain; version=0.0.4", False)]
)
def test_another_server_on_the_port_is_not_taken_for_ours(content_type: str, ours: bool) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert answers_ok(f"http://127.0.0.1:{server.server_port}/readyz") is ours
        answering.join(10)


def test_run_refuses_a_bad_config_and_has_set_the_environment_by_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("applications: []\n")
    environ = {"HOME": str(tmp_path)}
    assert launch.run(file, ready_timeout_s=1, dashboard=False, environ=environ) == 1
    assert capsys.readouterr().err == f"ocr-serve: {file}: applications: there is none\n"
    # Ray reads its variables when it is imported, and the check imports it.
    assert environ["RAY_AUTH_MODE"] == "token"


class Waiting:
    """A clock that moves when slept on, and answers for each moment."""

    def __init__(self, *, ready_at: float = 1e9, fails_at: float = 1e9, stop_at: float = 1e9):
        self.now = 0.0
        self.ready_at, self.fails_at, self.stop_at = ready_at, fails_at, stop_at

    def sleep(self, seconds: float) -> bool:
        self.now += seconds
        return self.now >= self.stop_at

    def failure(self) -> str | None:
        return "no weights" if self.now >= self.fails_at else None

    def result(self, timeout_s: float) -> str | None:
        is_ready: Callable[[], bool] = lambda: self.now >= self.ready_at  # noqa: E731
        return wait_until_ready(
            is_ready=is_ready,
            failure=self.failure,
            timeout_s=timeout_s,
            now=lambda: self.now,
            sleep=self.sleep,
        )


def test_waiting_ends_when_ready() -> None:
    assert Waiting(ready_at=9, fails_at=20).result(60) is None


def test_waiting_ends_soon_after_a_failure() -> None:
    waiting = Waiting(fails_at=9)
    assert waiting.result(60) == "no weights"
    assert waiting.now <= 9 + launch.STATUS_INTERVAL_S


def test_waiting_ends_at_the_deadline() -> None:
    waiting = Waiting()
    assert waiting.result(60) == "not ready after 60 s"
    assert waiting.now == pytest.approx(60, abs=1)


def test_waiting_ends_when_stopped() -> None:
    waiting = Waiting(stop_at=3)
    assert waiting.result(60) == "stopped"
    assert waiting.now == 3


def test_welcome_has_a_line_to_paste(tmp_path: Path) -> None:
    sample = tmp_path / "page.pdf"
    assert (
        "curl -F file=@document.pdf 'http://h:1/v1/parse"
        in launch.welcome("http://h:1", 2, sample)[1]
    )
    sample.touch()
    assert f"file=@{sample} " in launch.welcome("http://h:1", 2, sample)[1]


def test_last_line_is_the_error_of_a_traceback() -> None:
    assert deploy_status.last_line("Traceback:\n  File x\nValueError: no\n\n") == "ValueError: no"
    assert deploy_status.last_line("") == ""
