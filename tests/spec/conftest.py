"""The server of the specification's scenarios: real models; only device readings are simulated.

Two pools: `main` on one of two simulated GPUs (a stub NVML library tells of them; the engines
compute on the CPU), and `spare` on the CPU, whose RAM readings come from a file. So tests can put
each under pressure by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serve_app.devices.scripted import SIMULATED_DEVICES
from tests.e2e.ledger import levels
from tests.e2e.server import Server, running
from tests.e2e.waiting import eventually
from tests.integration.nvml_stub.builder import (
    StubGpu,
    build_stub,
    compiler,
    stub_environment,
    write_state,
)
from tests.spec.rows import Results
from tests.spec.scene import GPU_TOTAL, Devices, one_pool_config, spec_config


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The specification's rows with their results, where a test of them was chosen."""
    results = Results()
    for outcome in ("passed", "failed", "error"):
        results.add(outcome, {it.nodeid for it in terminalreporter.getreports(outcome)})
    if any(tally.ran for tally in results.rows.values()):
        terminalreporter.section("specification")
        for line in results.lines():
            terminalreporter.line(line)


@pytest.fixture(scope="package")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Devices:
    devices = Devices(tmp_path_factory.mktemp("devices") / "devices.json")
    devices.set()
    return devices


@pytest.fixture(scope="package")
def shared_server(simulated: Devices, nvml_stub: dict[str, str]) -> Iterator[Server]:
    environment = {**nvml_stub, SIMULATED_DEVICES: str(simulated.file)}
    with running(spec_config(), environment) as server:
        yield server


@pytest.fixture(scope="package")
def nvml_stub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Lets Ray find two GPUs; our own readings come from the file."""
    if compiler() is None:
        pytest.skip("no C compiler for the stub NVML library")
    folder = tmp_path_factory.mktemp("nvml")
    build_stub(folder)
    write_state(folder, [StubGpu("GPU-a", GPU_TOTAL), StubGpu("GPU-b", GPU_TOTAL)])
    return dict(stub_environment(folder))


@pytest.fixture(scope="package")
def one_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Devices]]:
    """A further server, with one pool and nothing loaded yet, and its simulated RAM."""
    devices = Devices(tmp_path_factory.mktemp("one-pool") / "devices.json")
    devices.set()
    with running(one_pool_config(), {SIMULATED_DEVICES: str(devices.file)}) as server:
        yield server, devices


@pytest.fixture
def devices(simulated: Devices) -> Iterator[Devices]:
    """Free memory before and after the test."""
    simulated.set()
    yield simulated
    simulated.set()


@pytest.fixture
def server(shared_server: Server, devices: Devices) -> Server:
    """The server, with nothing loaded and no pressure."""
    eventually(lambda: levels(shared_server) == {"normal"}, 20, "no pressure is left")
    for model in shared_server.models():
        answer = shared_server.http.post(f"/v1/models/{model}/unload", params={"timeout_s": "30"})
        assert answer.status_code == 200, answer.text
    eventually(lambda: not shared_server.engine_processes(), 20, "no engine is left")
    return shared_server
