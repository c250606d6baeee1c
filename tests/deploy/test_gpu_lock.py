"""The GPU image installs from a lock with hashes, also what is not on the public index.

Paddle's index is played by a server on loopback with wheels that have no content.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import ROOT
from tests.e2e.server import app_args

pytestmark = pytest.mark.integration

DOCKERFILE = (ROOT / "docker" / "gpu.Dockerfile").read_text(encoding="utf-8")
PADDLE = "paddlepaddle_gpu-3.3.1-cp311-cp311-linux_x86_64.whl"
CUDA = "nvidia_cublas_cu12-12.6.4.1-py3-none-manylinux2014_x86_64.whl"


def write_wheel(folder: Path, name: str, requires: str = "", content: str = "") -> None:
    project, version, *_ = name.split("-")
    metadata = f"Metadata-Version: 2.1\nName: {project.replace('_', '-')}\nVersion: {version}\n"
    info = f"{project}-{version}.dist-info"
    tag = name.removesuffix(".whl").split("-", 2)[2]
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr(f"{project}.txt", content)
        wheel.writestr(f"{info}/METADATA", metadata + requires)
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of an index without hashes, like that of a plain file server."""
    simple = tmp_path / "simple"
    for project, name in (("paddlepaddle-gpu", PADDLE), ("nvidia-cublas-cu12", CUDA)):
        folder = simple / project
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(f'<html><body><a href="{name}">{name}</a></body></html>')
    write_wheel(simple / "nvidia-cublas-cu12", CUDA)
    needs = "Requires-Dist: nvidia-cublas-cu12==12.6.4.1\n"
    write_wheel(simple / "paddlepaddle-gpu", PADDLE, needs)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple", simple
        server.shutdown()
        thread.join(10)


def make_lock(url: str, file: Path) -> str:
    command = [str(ROOT / "scripts" / "lock_gpu.sh"), url, str(file)]
    uv = Path(sys.executable).with_name("uv")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(file.parent), "UV": str(uv)}
    made = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert made.returncode == 0, made.stderr
    return file.read_text(encoding="utf-8")


def install(url: str, lock: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """As the Dockerfile does it, into a folder."""
    options = ["--no-cache-dir", "--only-binary", ":all:", "--require-hashes", "--no-deps"]
    for option in options:
        assert option in DOCKERFILE
    where = ["--target", str(target), "--platform", "linux_x86_64"]
    where += ["--platform", "manylinux2014_x86_64", "--python-version", "3.11"]
    command = [sys.executable, "-m", "pip", "install", *options, *where, "--isolated"]
    command += ["--disable-pip-version-check", "--index-url", url, "--requirement", str(lock)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_lock_has_a_hash_for_everything_and_names_no_index(
    index: tuple[str, Path], tmp_path: Path
) -> None:
    text = make_lock(index[0], tmp_path / "gpu-paddle.lock")
    found = dict(
        re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", text, re.M)
    )
    assert found == {"paddlepaddle-gpu": "3.3.1", "nvidia-cublas-cu12": "12.6.4.1"}
    assert "://" not in text


def test_a_wheel_that_was_exchanged_after_the_lock_is_not_installed(
    index: tuple[str, Path], tmp_path: Path
) -> None:
    url, simple = index
    lock = tmp_path / "gpu-paddle.lock"
    make_lock(url, lock)
    assert install(url, lock, tmp_path / "before").returncode == 0

    write_wheel(simple / "nvidia-cublas-cu12", CUDA, content="something else")

    refused = install(url, lock, tmp_path / "after")
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr


def test_the_image_is_not_built_without_a_lock() -> None:
    assert '[ ! -s "requirements/${LOCK}.lock" ]' in DOCKERFILE
    assert '--requirement "requirements/${LOCK}.lock"' in DOCKERFILE
    # pip installs nothing by name: a name is not bound to a content.
    installs = re.search(r"pip install (.*?)\n[A-Z]", DOCKERFILE, re.S)
    assert installs
    assert "==" not in installs[1]


def test_by_default_the_image_installs_a_lock_that_is_there_from_the_public_index() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(.*)$", DOCKERFILE, re.M))
    assert (ROOT / "requirements" / f"{arguments['LOCK']}.lock").is_file()
    assert arguments["PADDLE_INDEX_URL"] == ""
    named = re.findall(r"LOCK=([a-z0-9-]+)", DOCKERFILE)
    assert set(named) == {"gpu", "gpu-cuda12", "gpu-paddle"}


@pytest.mark.parametrize(
    ("lock", "replaced"),
    [
        ("gpu", "onnxruntime-openvino"),
        ("gpu-cuda12", "onnxruntime-openvino"),
        ("gpu-paddle", "paddlepaddle"),
    ],
)
def test_what_brings_the_same_module_is_taken_out_before(lock: str, replaced: str) -> None:
    choice = re.search(r"RUN (case .*? esac)", DOCKERFILE, re.S)
    assert choice
    command = f'LOCK={lock}; {choice[1]}; echo "$replaced"'
    told = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=10)
    assert told.stdout == f"{replaced}\n"
    assert DOCKERFILE.index("pip uninstall") < DOCKERFILE.index("pip install")


@pytest.mark.parametrize(("name", "config"), [("cpu", "local.yaml"), ("gpu", "gpu.yaml")])
def test_an_image_serves_what_it_holds_to_outside_of_its_container(name: str, config: str) -> None:
    text = (ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8")
    command = re.search(r"^CMD \[(.*)\]$", text, re.M)
    assert command
    assert command[1].endswith(f'"docker/{config}"')
    assert re.search(rf"^COPY .*docker/{config} .*docker/$", text, re.M)
    shipped = yaml.safe_load((ROOT / "docker" / config).read_text(encoding="utf-8"))
    assert shipped["http_options"]["host"] == "0.0.0.0"
    models = app_args(shipped)["models"].values()
    assert {one.get("weights", {}).get("source", "bundled") for one in models} == {"bundled"}


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_documented_command_publishes_on_this_machine_only(name: str) -> None:
    for file in (ROOT / "docker" / f"{name}.Dockerfile", ROOT / "docs" / "operations.md"):
        text = file.read_text(encoding="utf-8")
        published = re.findall(r"-p (\S*:\S+)", text)
        assert all(one == "127.0.0.1:8000:8000" for one in published), file.name
    assert "-p 127.0.0.1:8000:8000" in (ROOT / "docker" / f"{name}.Dockerfile").read_text()
