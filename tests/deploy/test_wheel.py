"""The built wheel in an environment of its own, in an empty folder: there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from serve_app.command import shipped
from tests.documents import encoded, text_picture
from tests.e2e.server import running

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300


def without_checkout() -> dict[str, str]:
    """This environment's variables, by which nothing of the checkout can be imported."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder)
    subprocess.run([sys.executable, *map(str, build), str(ROOT)], check=True, timeout=TIMEOUT_S)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bin`` of an environment with the wheel; what it needs is borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # Whatever is borrowed or on the path: this one.
    how = ("--quiet", "--no-deps", "--no-index", "--ignore-installed")
    install = [str(folder / "bin" / "pip"), "install", *how, str(wheel)]
    subprocess.run(install, check=True, timeout=TIMEOUT_S, env=without_checkout())
    return folder / "bin"


def test_everything_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"serve_app/configs/{name}.yaml" for name in shipped.names()} <= names
    assert {"serve_app/command/ray.env", "serve_app/ui/static/index.html"} <= names
    assert not any(name.startswith(("tests/", "scripts/")) for name in names)


def test_the_command_runs_in_an_empty_folder(scripts: Path, tmp_path: Path) -> None:
    def command(*arguments: str) -> str:
        run = subprocess.run(
            [scripts / "ocr-serve", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=without_checkout(),
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    printed = command("config", "local")
    assert printed == (ROOT / "configs" / "local.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(printed)
    assert command("check", "mine.yaml") == "mine.yaml: ok\n"
    where = [str(scripts / "python"), "-c", "import serve_app; print(serve_app.__file__)"]
    found = subprocess.run(
        where, cwd=tmp_path, capture_output=True, text=True, check=True, env=without_checkout()
    )
    assert Path(found.stdout.strip()).is_relative_to(scripts.parent)


@pytest.mark.long
def test_it_serves(scripts: Path) -> None:
    config = yaml.safe_load(shipped.file_of("local").read_text(encoding="utf-8"))
    program = (str(scripts / "ocr-serve"),)
    with running(config, {"PYTHONPATH": ""}, program=program) as server:
        file = encoded(text_picture("Hello 42", width=640, height=160), "png")
        assert server.parse(file, format="text").text == "Hello 42\n"
