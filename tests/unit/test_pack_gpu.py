"""The pieces for a GPU machine without network: whole again, or refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import pack_gpu

ROOT = Path(__file__).parents[2]
PIECE_BYTES = 4096


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A folder of pieces, of content that stands for wheels, weights and sources."""
    content, folder = tmp_path / "content", tmp_path / "packed"
    (content / "source").mkdir(parents=True)
    (content / "source" / "names").write_text("".join(f"line {n}\n" for n in range(2000)))
    (content / "weights").symlink_to(tmp_path / "content" / "source")
    folder.mkdir()
    count = pack_gpu.pack(content, folder, "gpu", PIECE_BYTES)
    assert count == len(list(folder.glob("piece-*"))) > 3
    return folder


def unpacked(folder: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """The first part of run.sh: a folder that seems installed needs no Python."""
    (into / "source" / ".venv").mkdir(parents=True)
    (into / "source" / ".venv" / ".installed").touch()
    command = [str(folder / "run.sh"), "--into", str(into), "cat", "names"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=into)


def test_pieces_are_small_and_make_the_whole(packed: Path, tmp_path: Path) -> None:
    assert max(file.stat().st_size for file in packed.glob("piece-*")) == PIECE_BYTES
    assert pack_gpu.PIECE_BYTES <= 60_000_000
    made = unpacked(packed, tmp_path / "there")
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith("line 1999\n")
    assert (tmp_path / "there" / "weights" / "names").is_file(), "links are followed"


def test_nothing_is_left_over_beside_them(packed: Path) -> None:
    names = {file.name for file in packed.iterdir()}
    assert {name for name in names if not name.startswith("piece-")} == {"SHA256SUMS", "run.sh"}


@pytest.mark.parametrize("change", ["a byte", "a piece is missing"])
def test_what_was_damaged_on_the_way_is_not_unpacked(
    packed: Path, tmp_path: Path, change: str
) -> None:
    piece = packed / "piece-002"
    if change == "a byte":
        piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    else:
        piece.unlink()
    made = unpacked(packed, tmp_path / "there")
    assert made.returncode != 0
    assert "piece-002" in made.stdout + made.stderr
    assert not (tmp_path / "there" / ".unpacked").exists()


def test_what_runs_the_tests_is_taken_from_the_lock_with_its_hashes() -> None:
    dev = (ROOT / "requirements" / "dev.lock").read_text()
    text = pack_gpu.chosen(dev, pack_gpu.TEST_PACKAGES)
    starts = [line.partition("==")[0] for line in text.splitlines() if line[:1].isalpha()]
    assert set(starts) == set(pack_gpu.TEST_PACKAGES)
    assert text.count("--hash=sha256:") >= 2 * len(starts)
