"""Set-up: what is missing is named, and whatever was interrupted is found and done again."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

import check_system
import setup_venv

ROOT = Path(__file__).parents[2]


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment that looks as setup_venv leaves it, of one package."""
    made = tmp_path / ".venv"
    site = made / "lib" / "python3.11" / "site-packages"
    (site / "thing").mkdir(parents=True)
    (site / "thing" / "code.py").write_text("x = 1\n")
    info = site / "thing-1.0.dist-info"
    info.mkdir()
    (info / "INSTALLER").write_text("pip\n")
    (info / "METADATA").write_text("Name: thing\n")
    (info / "RECORD").write_text(
        "thing/code.py,sha256=x,6\nthing/__pycache__/code.cpython-311.pyc,,\n"
        "thing-1.0.dist-info/METADATA,sha256=x,12\nthing-1.0.dist-info/RECORD,,\n"
    )
    return made


def site_of(venv: Path) -> Path:
    return venv / "lib" / "python3.11" / "site-packages"


def test_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ctypes.CDLL

    def without_gl(name: str) -> ctypes.CDLL:
        if name == "libGL.so.1":
            raise OSError(name)
        return real(name)

    monkeypatch.setattr(ctypes, "CDLL", without_gl)
    text = "\n".join(check_system.problems())
    assert "missing: libGL.so.1 (opencv-contrib-python needs it), in the apt package libgl1" in text
    assert "apt-get install -y libgl1" in text


def test_missing_venv_module_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("sys.version_info", (3, 11, 7))
    assert "python3.11-venv" in {package for _, package in check_system.missing_packages()}


def test_what_only_tests_need_is_asked_for_by_tests_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda program, path: None)
    monkeypatch.setattr(check_system, "missing_packages", lambda: [("a library", "libgl1")])
    for arguments, packages in (
        (["--apt"], ["libgl1"]),
        (["--apt", "--tests"], ["libgl1", *(name for _, name in check_system.TEST_PROGRAMS)]),
    ):
        monkeypatch.setattr("sys.argv", ["check_system.py", *arguments])
        assert check_system.main() == 0
        assert capsys.readouterr().out.split() == packages


def test_a_program_that_debian_keeps_apart_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(check_system, "PROGRAM_FOLDERS", str(tmp_path / "*" / "bin"))
    assert "postgresql" in check_system.missing_for_tests()
    program = tmp_path / "15" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert "postgresql" not in check_system.missing_for_tests()


def test_other_python_is_named_with_the_supported_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 13, 0))
    (problem,) = check_system.python_problems()
    assert problem.startswith("Python 3.13 ")
    assert "3.10, 3.11, 3.12" in problem


def test_python_of_the_gpus_packages_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 12))
    assert check_system.python_problems() == []
    (problem,) = check_system.python_problems(gpu=True)
    assert "Python 3.10 " in problem
    assert "3.11, 3.12" in problem


def test_processor_without_avx_is_named(tmp_path: Path) -> None:
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text("flags : fpu sse2\n")
    assert any("no AVX" in problem for problem in check_system.platform_problems(cpu_info))


def test_finished_package_is_complete(venv: Path) -> None:
    assert setup_venv.is_complete(site_of(venv) / "thing-1.0.dist-info")


@pytest.mark.parametrize("lost", ["thing/code.py", "thing-1.0.dist-info/RECORD"])
def test_package_with_a_missing_file_is_forgotten(venv: Path, lost: str) -> None:
    (site_of(venv) / lost).unlink()
    setup_venv.forget_incomplete(venv)
    assert not (site_of(venv) / "thing-1.0.dist-info").exists()


def test_package_with_a_cut_file_is_forgotten(venv: Path) -> None:
    (site_of(venv) / "thing" / "code.py").write_text("x")
    setup_venv.forget_incomplete(venv)
    assert not (site_of(venv) / "thing-1.0.dist-info").exists()


def test_stamp_counts_for_the_same_lock_and_for_what_it_contains(venv: Path) -> None:
    assert not setup_venv.is_current(venv, "cpu")
    stamp = setup_venv.stamp_text(venv, setup_venv.lock_file("dev"))
    setup_venv.stamp_path(venv, "dev").write_text(stamp)
    assert setup_venv.is_current(venv, "dev")
    assert setup_venv.is_current(venv, "cpu")


def test_stamp_of_the_runtime_is_not_enough_for_development(venv: Path) -> None:
    stamp = setup_venv.stamp_text(venv, setup_venv.lock_file("cpu"))
    setup_venv.stamp_path(venv, "cpu").write_text(stamp)
    assert setup_venv.is_current(venv, "cpu")
    assert not setup_venv.is_current(venv, "dev")


def test_stamp_of_another_lock_or_folder_does_not_count(venv: Path, tmp_path: Path) -> None:
    stamp = setup_venv.stamp_text(tmp_path / "moved", setup_venv.lock_file("dev"))
    setup_venv.stamp_path(venv, "dev").write_text(stamp)
    assert not setup_venv.is_current(venv, "dev")


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(setup_venv.SetupFailed, match="is no virtual environment"):
        setup_venv.ensure_venv(tmp_path)
    assert (tmp_path / "notes.txt").exists()


def test_an_environment_with_another_onnxruntime_is_made_anew(venv: Path) -> None:
    """Two packages are this module: one installed over the other leaves a mixture of both."""
    marks = {setup_venv.interpreter_mark(venv, name) for name in ("cpu", "gpu", "gpu-cuda12")}
    assert len(marks) == 3
    assert setup_venv.interpreter_mark(venv, "dev") in marks
    assert setup_venv.COVERED_BY["cpu"] == ("cpu", "dev")


def test_second_set_up_waits_for_the_first(
    venv: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def busy_once(_: object, operation: int) -> None:
        tried.append(operation)
        if len(tried) == 1:
            raise BlockingIOError

    monkeypatch.setattr("fcntl.flock", busy_once)
    with setup_venv.exclusive(venv):
        assert "waiting for it" in capsys.readouterr().out
    assert len(tried) == 2


def test_ci_and_make_are_executable_and_help_lists_the_targets() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    text = (ROOT / "Makefile").read_text()
    for target in ("serve", "test", "lint", "typecheck", "unit", "spec", "bench", "lock", "clean"):
        assert f"\n{target}: " in text, target
