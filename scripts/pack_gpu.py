"""Pack what a GPU machine without network needs to run this: wheels, weights and the sources.

    scripts/pack_gpu.py FOLDER [--lock gpu-cuda12] [--corpus shared/corpus]

FOLDER then holds pieces of at most 60 MB, their checksums, and ``run.sh``, which is run over
there: ``run.sh test`` (what `make gpu` runs), ``run.sh serve``, or any command in the environment.
Run this with the Python of an environment that has the package, of the version over there.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from setup_venv import GPU_LOCKS, ROOT

PIECE_BYTES = 60 * 10**6
READ_BYTES = 2**20
# Of dev.lock: what runs tests/gpu.
TEST_PACKAGES = ("iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-asyncio")

RUN = """\
#!/usr/bin/env bash
# Unpacks what lies beside it, once, into FOLDER ($PWD/ocr-serve), and runs a command there:
#   run.sh [--into FOLDER] test | bench [OPTIONS] | serve [CONFIG] | COMMAND ...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$PWD/ocr-serve
if [[ ${1-} = --into ]]; then into=$2; shift 2; fi
if [[ ! -e $into/.unpacked ]]; then
    (cd "$here" && sha256sum --quiet --check SHA256SUMS)
    mkdir -p "$into"
    cat "$here"/piece-* | tar --extract --directory "$into"
    touch "$into/.unpacked"
fi
cd "$into/source"
python=${PYTHON:-python@PYTHON@}
if [[ ! -e .venv/.installed ]]; then
    "$python" -m venv --clear .venv
    for lock in requirements/@LOCK@.lock ../tests.lock; do
        .venv/bin/python -m pip install --quiet --no-index --find-links ../wheels --no-deps \\
            --require-hashes --only-binary :all: --requirement "$lock"
    done
    .venv/bin/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
    touch .venv/.installed
fi
export PATH=$PWD/.venv/bin:$PATH OCR_SERVE_CACHE=$into/weights OCR_SERVE_CORPUS=$into/corpus
case ${1-test} in
    test) exec python -m pytest tests/gpu -s ;;
    bench) shift; exec python -m tests.gpu.throughput "$@" ;;
    serve) exec ocr-serve run "${2-configs/gpu.yaml}" ;;
    *) exec "$@" ;;
esac
"""


def chosen(lock: str, names: tuple[str, ...]) -> str:
    """The requirements of these names in the text of a lock, with their hashes."""
    blocks = re.split(r"\n(?=[a-z0-9])", lock, flags=re.IGNORECASE)
    return "\n".join(block for block in blocks if block.partition("==")[0] in names) + "\n"


def download(lock: Path, wheels: Path) -> None:
    """Every wheel of a lock, for this Python; hashes checked."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download")
    flags = ("--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:")
    where = ("--dest", str(wheels), "--requirement", str(lock))
    subprocess.run([*pip, *flags, *where], check=True, cwd=ROOT)


def gather(folder: Path, lock: str) -> None:
    """Wheels, weights and the committed sources, below ``folder``."""
    tests = folder / "tests.lock"
    dev = (ROOT / "requirements" / "dev.lock").read_text(encoding="utf-8")
    tests.write_text(chosen(dev, TEST_PACKAGES), encoding="utf-8")
    for one in (ROOT / "requirements" / f"{lock}.lock", tests):
        download(one, folder / "wheels")
    pull = (sys.executable, "-m", "serve_app", "weights", "pull", "--quiet", "--cache-dir")
    subprocess.run([*pull, str(folder / "weights")], check=True, cwd=ROOT)
    archive = folder / "source.tar"
    command = ["git", "archive", "--output", str(archive), "HEAD"]
    subprocess.run(command, check=True, cwd=ROOT)  # nosec B607  # whichever git is there
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "source")  # nosec B202  # our own, just made
    archive.unlink()


def pieces(content: IO[bytes], size: int, piece_bytes: int) -> Iterator[Iterator[bytes]]:
    """The content in pieces of at most that size, each in blocks; read one after another."""
    for start in range(0, size, piece_bytes):
        yield _blocks(content, min(piece_bytes, size - start))


def _blocks(content: IO[bytes], left: int) -> Iterator[bytes]:
    while left:
        block = content.read(min(READ_BYTES, left))
        left -= len(block)
        yield block


def write_pieces(tar: Path, folder: Path, piece_bytes: int = PIECE_BYTES) -> list[str]:
    """Write ``piece-000`` and so on, and the lines of SHA256SUMS."""
    lines = []
    with tar.open("rb") as content:
        for number, blocks in enumerate(pieces(content, tar.stat().st_size, piece_bytes)):
            digest, name = hashlib.sha256(), f"piece-{number:03d}"
            with (folder / name).open("wb") as piece:
                for block in blocks:
                    digest.update(block)
                    piece.write(block)
            lines.append(f"{digest.hexdigest()}  {name}")
    return lines


def pack(content: Path, folder: Path, lock: str, piece_bytes: int = PIECE_BYTES) -> int:
    """What lies in ``content``, as pieces with checksums and ``run.sh``; their number."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tar = Path(scratch) / "all.tar"
        with tarfile.open(tar, "w", dereference=True) as archive:
            for path in sorted(content.iterdir()):
                archive.add(path, path.name)
        lines = write_pieces(tar, folder, piece_bytes)
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="ascii")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    run = folder / "run.sh"
    run.write_text(RUN.replace("@LOCK@", lock).replace("@PYTHON@", version), encoding="utf-8")
    run.chmod(0o755)
    return len(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lock", choices=GPU_LOCKS, default="gpu")
    parser.add_argument("--corpus", type=Path, help="documents of the tests, to be taken along")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"{folder} is not empty", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        content = Path(scratch)
        gather(content, options.lock)
        if options.corpus is not None:
            (content / "corpus").symlink_to(options.corpus.resolve())
        count = pack(content, folder, options.lock)
    print(f"{count} pieces in {folder}; over there: {folder.name}/run.sh test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
