"""The server runs where only /tmp and the home folder can be written to, as in the manifests' pods.

The read-only file system is one of Linux: mounts of this test's own, which nobody else sees.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.weights import store as weights
from tests.e2e.server import Server, running, shipped_config

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
# Arguments: a file that must not be writable then; then the folders that become read-only, `--`,
# and the command.
MOUNTS = r"""
set -e
mount --make-rprivate /
mount --bind /tmp /tmp
probe=$1; shift
while [ "$1" != -- ]; do
    mount --bind "$1" "$1"
    mount -o remount,bind,ro "$1"
    shift
done
shift
mount -o remount,bind,ro /
if touch "$probe" 2> /dev/null; then echo "still writable: $probe" >&2; exit 3; fi
exec "$@"
"""


def read_only(*folders: Path) -> list[str]:
    """The wrapper that makes everything but /tmp read-only, these folders among it."""
    probe = ROOT / ".writable"
    names = [str(folder) for folder in folders]
    return ["unshare", "--mount", "bash", "-c", MOUNTS, "read-only", str(probe), *names, "--"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    cache = weights.default_cache_dir()
    weights.pull()
    wrapper = read_only(ROOT, Path(sys.prefix), cache)
    tried = subprocess.run([*wrapper, "true"], capture_output=True, text=True, timeout=60)
    if tried.returncode == 3:
        pytest.fail(tried.stderr)
    if tried.returncode != 0:
        pytest.skip(f"no mounts of its own here: {tried.stderr.strip().splitlines()[-1:]}")
    with tempfile.TemporaryDirectory(prefix="home-", dir="/tmp") as home:
        environment = {"HOME": home, "OCR_SERVE_CACHE": str(cache)}
        with running(shipped_config(), environment, wrapper=wrapper) as one:
            yield one


@pytest.mark.parametrize("model", ["ocr", "structure"])
def test_a_page_is_read_with_a_read_only_root_and_weights(server: Server, model: str) -> None:
    page = (ROOT / "examples" / "page.pdf").read_bytes()
    answer = server.parse(page, model=model, format="text")
    assert answer.status_code == 200, answer.text
    assert "A page to try" in answer.text
    assert not (ROOT / ".writable").exists()
