"""``ocr-serve run CONFIG``: what ``serve run CONFIG`` does, made safe to start and to stop.

Around Serve's own command, in the same process:

- the file is checked strictly, the port is free, Ray's environment is set, and what is booked fits
  into this machine (``sizing.py``; the sum is printed), before Ray starts;
- a new local Ray is started, never joined by accident (``ray.init`` without an address joins the
  last ``ray start`` of the machine); RAY_ADDRESS joins one on purpose;
- that Ray listens on loopback where the configuration does, and its files are private
  (``runtime_folder.py``, unless RAY_TMPDIR names a place for them);
- a thread waits for /readyz, says where the server is, and ends everything if the deploy failed:
  ``serve run`` itself says "Submitted" and goes on as if nothing had happened;
- Ray's dashboard is left out unless asked for: its ten processes hold 215 MiB;
- SIGTERM stops as cleanly as Ctrl-C (Serve handles only that), within a deadline: the requests
  under way are answered first, which Serve's own shutdown does not wait for.

Not covered: checking or starting a cluster of several nodes (k8s/).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from serve_app import sizing
from serve_app.command import environment
from serve_app.command.console import Console, default_log
from serve_app.command.endpoint import Endpoint, answers_ok, asks_for_loopback
from serve_app.command.runtime_folder import RuntimeFolderError, open_folder
from serve_app.config_check import check_file
from serve_app.deploy_status import deploy_failure, deploy_summary
from serve_app.gateway import body_window
from serve_app.policy.sizing_table import summary, table, warnings
from serve_app.settings import AppSettings, GatewaySettings

console = Console()
CONSOLE = Path("-")

# After the drain nothing is awaited any more; engines end in a second or two.
SHUTDOWN_TIMEOUT_S = 60.0
# For the gateways' answer that they are done, beyond the time that they are given.
DRAIN_ANSWER_S = 5.0
POLL_INTERVAL_S = 0.25
STATUS_INTERVAL_S = 2.0


@dataclass(frozen=True)
class Draining:
    """How long the requests under way may take when the application is to stop."""

    application: str
    timeout_s: float

    @classmethod
    def of(cls, config: dict[str, Any]) -> Draining:
        """As a checked Serve configuration says."""
        name = config["applications"][0].get("name", "default")
        return cls(name, gateway_of(config).drain_timeout_s)

    def drain(self) -> None:
        """Have every gateway finish its requests; never raises."""
        from ray import serve

        from serve_app.app import GATEWAY

        try:
            gateways = serve.get_deployment_handle(GATEWAY, self.application)
            answers = gateways.broadcast("drain", self.timeout_s)
            ended = sum(answers.results(timeout_s=self.timeout_s + DRAIN_ANSWER_S))
        except Exception as error:
            console.say(
                f"requests under way could not be finished: {type(error).__name__}: {error}"
            )
            return
        if ended:
            console.say(f"{ended} requests were ended: they took longer than {self.timeout_s:g} s")


def gateway_of(config: dict[str, Any]) -> GatewaySettings:
    """Of a checked Serve configuration."""
    return AppSettings.model_validate(config["applications"][0].get("args") or {}).gateway


def run(
    file: Path,
    *,
    ready_timeout_s: float,
    dashboard: bool,
    metrics_port: int = 0,
    log: Path | None = None,
    environ: MutableMapping[str, str],
) -> int:
    """Serve ``file`` until a signal comes; returns the exit code.

    0 after SIGINT or SIGTERM, 1 if it could not be started; what was wrong is on stderr. ``log`` is
    the file for what Ray and the server's processes say, "-" the terminal.
    """
    joins = "RAY_ADDRESS" in environ
    # First: check_file() imports Ray, whose native part reads its variables once, at import.
    environment.apply(environ, loopback=not joins and asks_for_loopback(file))
    if problems := check_file(file):
        return console.fail(*map(str, problems))
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    endpoint = Endpoint.of(config)
    if not joins and not endpoint.is_free():
        return console.fail(
            f"port {endpoint.port} of {endpoint.host} is in use: "
            f"stop what listens there, or change http_options.port in {file}"
        )
    if not endpoint.is_loopback and not auth_is_required(config):
        console.say(
            f"warning: {endpoint.host} can be reached from other machines, and no API key is "
            "asked for (auth.required)"
        )
    launch = Launch(file, endpoint, ready_timeout_s, Draining.of(config))
    if joins:
        return launch.serve({})
    plan = sizing.plan_of(config, dashboard=dashboard)
    if objections := sizing.objections(plan, environ):
        return console.fail(*table(plan), *objections)
    console.say(*summary(plan), *(f"warning: {warning}" for warning in warnings(plan)))
    body_window.pass_on(environ, plan.settings.gateway)
    if log != CONSOLE:
        _divert(log or default_log(endpoint.port, environ))
    print("\n".join(table(plan)), flush=True)  # to wherever all else goes
    cluster = {
        "address": "local",
        "include_dashboard": dashboard,
        "_metrics_export_port": metrics_port or None,
        **sizing.told_to_ray(plan),
    }
    if "RAY_TMPDIR" in environ:
        return launch.serve(cluster)
    return _serve_in_private(launch, cluster)


def _divert(log: Path) -> None:
    try:
        console.divert(log)
    except OSError as error:
        console.say(f"warning: no log file, all goes to the terminal: {error}")


def _serve_in_private(launch: Launch, cluster: dict[str, Any]) -> int:
    """Serve with Ray's files in a folder of this run; it is kept for a look if that failed."""
    try:
        folder = open_folder()
    except RuntimeFolderError as error:
        return console.fail(str(error))
    code = 1
    try:
        code = launch.serve({**cluster, "_temp_dir": str(folder.ray)})
    finally:
        folder.close(keep=code != 0)
    if code != 0:
        console.say(f"Ray's logs, until the next start: {folder.ray}")
    return code


class Launch:
    """One run of Serve in this process: the main thread serves, another one waits for ready."""

    def __init__(
        self, file: Path, endpoint: Endpoint, ready_timeout_s: float, draining: Draining
    ) -> None:
        self._file = file
        self._endpoint = endpoint
        self._ready_timeout_s = ready_timeout_s
        self._draining = draining
        self._is_up = False
        self._started = time.monotonic()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="ready-watch", daemon=True)
        self._signals = 0
        self._failure: str | None = None

    def serve(self, cluster: dict[str, Any]) -> int:
        """Start Ray, or join it, and run Serve's own ``serve run`` until a signal or a failure.

        ``cluster``: further arguments of ``ray.init``.
        """
        import ray

        try:
            self._serve(cluster)
        except KeyboardInterrupt:
            pass
        except SystemExit as end:
            # Serve's way of returning; or Ray's answer to a SIGTERM while it starts.
            self._signals += end.code == signal.SIGTERM
        except Exception as error:
            # click wraps a KeyboardInterrupt that came outside of Serve's own handler.
            if not self._signals:
                self._failure = f"{type(error).__name__}: {error}"
        finally:
            self._limit_shutdown()
            self._stopping.set()
            if self._watcher.is_alive():  # it must not be inside Ray when that is torn down
                self._watcher.join()
            ray.shutdown()
        if self._failure is None and not self._signals:
            self._failure = "Serve ended by itself"
        return console.fail(self._failure) if self._failure else 0

    def _serve(self, cluster: dict[str, Any]) -> None:
        import ray
        from ray.serve.scripts import run as serve_run

        self._catch_signals()
        os.umask(0o077)  # Ray's token, logs and sockets are nobody else's business
        ray.init(namespace="serve", **cluster)
        self._catch_signals()  # again: ray.init installs its own handler of SIGTERM
        self._watcher.start()
        serve_run.main(args=[str(self._file)], standalone_mode=False)

    def _catch_signals(self) -> None:
        # Also where SIGINT was ignored: a shell without job control starts `... &` that way.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self._limit_shutdown()
            self._stopping.set()
            if self._is_up:
                self._drain()
            raise KeyboardInterrupt
        if self._signals == 2:  # make and the terminal may both send one
            console.say("shutting down; once more to end it at once")
        else:
            os._exit(130)

    def _drain(self) -> None:
        """Have the requests under way answered: Serve's shutdown would break their connections."""
        # In a thread of its own: the signal may have come while this one was inside Ray.
        thread = threading.Thread(target=self._draining.drain, daemon=True)
        thread.start()
        thread.join(1.0)
        if thread.is_alive():
            console.say(f"finishing what is under way, for at most {self._draining.timeout_s:g} s")
        thread.join(self._draining.timeout_s + DRAIN_ANSWER_S)

    def _limit_shutdown(self) -> None:
        """End the process if a clean shutdown takes too long; Ray's processes end with it."""
        timer = threading.Timer(self._draining.timeout_s + SHUTDOWN_TIMEOUT_S, os._exit, (1,))
        timer.daemon = True
        timer.start()

    def _watch(self) -> None:
        """Wait until the application is ready, or has failed."""
        try:
            failure = wait_until_ready(
                is_ready=lambda: answers_ok(f"{self._endpoint.url}/readyz"),
                failure=deploy_failure,
                timeout_s=self._ready_timeout_s,
                now=time.monotonic,
                sleep=self._stopping.wait,
            )
            if failure is not None:
                failure += f"\n{deploy_summary()}"
        except Exception as error:
            failure = f"Serve cannot be asked for its state: {type(error).__name__}: {error}"
        if self._stopping.is_set():
            return
        if failure is None:
            self._is_up = True
            seconds = time.monotonic() - self._started
            console.say(*welcome(self._endpoint.url, seconds), *metrics_lines(), *log_lines())
            return
        self._failure = failure
        # To the main thread itself, so that it wakes from Serve's sleep.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def auth_is_required(config: dict[str, Any]) -> bool:
    """Whether the application of a checked configuration asks for API keys."""
    args = config["applications"][0].get("args") or {}
    return bool((args.get("auth") or {}).get("required"))


def wait_until_ready(
    *,
    is_ready: Callable[[], bool],
    failure: Callable[[], str | None],
    timeout_s: float,
    now: Callable[[], float],
    sleep: Callable[[float], object],
) -> str | None:
    """None once ``is_ready()``, else why it will not become so.

    A true value of ``sleep`` ends the waiting: nobody wants to know any more.
    """
    deadline = now() + timeout_s
    next_status = now() + STATUS_INTERVAL_S
    while not is_ready():
        if now() >= next_status:
            if reason := failure():
                return reason
            next_status = now() + STATUS_INTERVAL_S
        if now() >= deadline:
            return f"not ready after {timeout_s:g} s"
        if sleep(POLL_INTERVAL_S):
            return "stopped"
    return None


def metrics_lines() -> list[str]:
    """Where the metrics of the node are that this process runs on, if Ray tells."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    ports = [node.get("MetricsExportPort") for node in ray.nodes() if node["NodeID"] == own]
    return [f"  metrics: http://127.0.0.1:{port}/metrics" for port in ports if port]


def log_lines() -> list[str]:
    """Where what the processes say is written."""
    return [] if console.log is None else [f"  log: {console.log}"]


def welcome(url: str, seconds: float, sample: Path = Path("examples/page.pdf")) -> list[str]:
    """What to say when the server is ready."""
    document = sample if sample.exists() else "document.pdf"
    return [
        f"ready after {seconds:.1f} s: {url} (API: {url}/docs)",
        f"  try: curl -F file=@{document} '{url}/v1/parse?format=markdown'",
    ]
