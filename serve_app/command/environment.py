"""The environment variables that Ray and Paddle must see before they start: ``ray.env``.

Used by ``ocr-serve run`` (launch.py). Whatever is already set wins. Where Ray is started in another
way (``ray start``, KubeRay), the same variables belong into that process's environment: the images
and manifests take them from the same file, and ``ocr-serve env`` prints them.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping, MutableMapping
from pathlib import Path

FILE = Path(__file__).with_name("ray.env")


def read_env_file(text: str) -> dict[str, str]:
    """``NAME=value`` per line; no quotes, no expansion. Comments and empty lines are left out."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


FIXED: Mapping[str, str] = read_env_file(FILE.read_text(encoding="utf-8"))

# Ray's name for "this machine only", on every system in spite of it: the node's address is then the
# loopback one, and what listens on all interfaces otherwise (GCS, raylet, object manager, agents,
# workers, metrics) listens there.
LOOPBACK: Mapping[str, str] = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"


def home_is_writable(home: Path) -> bool:
    """Whether Ray can keep its token in ``~/.ray``: tried, since permission bits do not tell."""
    folder = home / ".ray"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def keep_token_private(home: Path) -> None:
    """Let nobody else read Ray's token in ``~/.ray``: Ray writes it as the umask says."""
    folder = home / ".ray"
    for path, mode in ((folder, 0o700), (folder / "auth_token", 0o600)):
        try:
            facts = path.lstat()
            if facts.st_uid == os.getuid() and stat.S_IMODE(facts.st_mode) & 0o077:
                path.chmod(mode)
        except OSError:  # none yet, or a mounted one that is not ours to change
            continue


def auth_variables(environ: Mapping[str, str], home_writable: bool) -> dict[str, str]:
    """Token authentication of Ray's own ports, made explicit; only what is not set.

    1. The operator chose another mode, or Ray runs elsewhere (RAY_ADDRESS): nothing to add.
    2. A token is given: use it.
    3. The home folder is writable: Ray makes ``~/.ray/auth_token``, and ``serve status`` finds it.
    4. Else Ray would end at start-up: a token of this run only, known to no other process.
    """
    mode = FIXED[AUTH_MODE]
    if environ.get(AUTH_MODE, mode) != mode or "RAY_ADDRESS" in environ:
        return {}
    added = {} if AUTH_MODE in environ else {AUTH_MODE: mode}
    given = AUTH_TOKEN in environ or "RAY_AUTH_TOKEN_PATH" in environ
    if not given and not home_writable:
        added[AUTH_TOKEN] = secrets.token_hex(32)
    return added


def missing_variables(environ: Mapping[str, str], *, loopback: bool = False) -> dict[str, str]:
    """The variables to add to this environment. ``loopback``: Ray is for this machine only."""
    home = Path(environ.get("HOME", "/nonexistent"))
    wanted = {**FIXED, **(LOOPBACK if loopback else {})}
    fixed = {n: v for n, v in wanted.items() if n not in environ and n != AUTH_MODE}
    return fixed | auth_variables(environ, home_is_writable(home))


def apply(environ: MutableMapping[str, str], *, loopback: bool = False) -> dict[str, str]:
    """Add what is missing; returns what was added."""
    added = missing_variables(environ, loopback=loopback)
    keep_token_private(Path(environ.get("HOME", "/nonexistent")))
    environ.update(added)
    return added
