"""What other machines and other users reach of ``ocr-serve run``: nothing, on loopback.

The server of this file is started as a user starts it: without RAY_TMPDIR, so that its folder for
Ray is its own.
"""

from __future__ import annotations

import ipaddress
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from tests.e2e.server import Server, running, shipped_config
from tests.processes import command_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """An empty folder for temporary files; short, as the paths of Ray's sockets must be."""
    with tempfile.TemporaryDirectory(prefix="l-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def own_server(place: Path) -> Iterator[Server]:
    with running(shipped_config(), {"TMPDIR": str(place)}, own_ray_folder=True) as server:
        yield server
    assert list((place / f"ocr-serve-{os.getuid()}").glob("[!.]*")) == [], "left after the end"


def listeners(server: Server) -> dict[tuple[str, int], str]:
    """Address and port of each listening socket of the server's processes → whose it is."""
    found = {}
    for process in server.processes():
        try:
            connections = process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        for one in connections:
            # A datagram socket that is bound and speaks to nobody takes from anybody.
            if one.status == psutil.CONN_LISTEN or (
                one.type.name == "SOCK_DGRAM" and not one.raddr
            ):
                found[one.laddr.ip, one.laddr.port] = " ".join(command_of(process))[:80]
    return found


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def test_every_port_of_the_server_and_of_ray_is_on_loopback(own_server: Server) -> None:
    found = listeners(own_server)
    assert any(str(port) in own_server.url for _, port in found), "the server's own is seen"
    assert len(found) > 10, "and Ray's are: GCS, raylet, agents, a server per replica"
    open_to_others = {at: who for at, who in found.items() if not is_loopback(at[0])}
    assert open_to_others == {}


# A call of each of Ray's gRPC services: GCS, raylet, worker; and of a Serve replica.
CALLS = (
    "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.serve.ASGIService/HandleRequest",
)


def answer_without_token(port: int, call: str) -> str:
    """The name of gRPC's status code."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(call)(b"", timeout=5)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def test_ray_answers_nobody_without_its_token(own_server: Server) -> None:
    answers = {
        (port, call): answer_without_token(port, call)
        for _, port in listeners(own_server)
        for call in CALLS
    }
    refused = {call: [at for at in answers if at[1] == call] for call in CALLS}
    for call, asked in refused.items():
        codes = {answers[at] for at in asked}
        assert "UNAUTHENTICATED" in codes, f"{call}: nobody has it"
        # The others have no such service, or speak HTTP.
        assert codes <= {"UNAUTHENTICATED", "UNIMPLEMENTED", "UNAVAILABLE"}, (call, codes)


def test_requests_are_answered_that_way(own_server: Server) -> None:
    page = (Path(__file__).parents[2] / "examples" / "page.pdf").read_bytes()
    answer = own_server.parse(page, format="text")
    assert answer.status_code == 200, answer.text
    assert "A page to try" in answer.text


def test_rays_files_are_behind_a_door_of_this_users(own_server: Server, place: Path) -> None:
    (home,) = place.glob("ocr-serve-*")
    (run,) = [path for path in home.iterdir() if path.is_dir()]
    for folder in (home, run):
        facts = folder.lstat()
        assert stat.S_IMODE(facts.st_mode) == 0o700
        assert facts.st_uid == os.getuid()
    sockets = list(run.glob("ray/session_2*/sockets/*"))
    assert {path.name for path in sockets} >= {"plasma_store", "raylet"}
    logs = [path for path in run.glob("ray/session_2*/logs/*") if path.is_file()]
    assert logs
    assert [path for path in logs if path.lstat().st_mode & 0o077] == []
    # Every process of Ray's is told of this folder and of no other.
    told = {
        word.partition("=")[2]
        for process in own_server.processes()
        for word in command_of(process)
        if word.startswith(("--temp-dir=", "--temp_dir="))
    }
    assert told == {str(run / "ray")}
