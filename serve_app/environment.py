"""The environment variables that Ray and Paddle must see before they start: ``ray.env``.

Used by ``ocr-serve run`` (launch.py). Whatever is already set wins. Where Ray is started in another
way (``ray start``, KubeRay), the same variables belong into that process's environment: the images
and manifests take them from the same file, and ``ocr-serve env`` prints them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, MutableMapping
from pathlib import Path

FILE = Path(__file__).with_name("ray.env")


def read_env_file(text: str) -> dict[str, str]:
    """``NAME=value`` per line; no quotes, no expansion. Comments and empty lines are left out."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


FIXED: Mapping[str, str] = read_env_file(FILE.read_text(encoding="utf-8"))


def home_is_writable(home: Path) -> bool:
    """Whether Ray can keep its token in ``~/.ray``: tried, since permission bits do not tell."""
    folder = home / ".ray"
    try:
        folder.mkdir(exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def auth_variables(environ: Mapping[str, str], home_writable: bool) -> dict[str, str]:
    """Token authentication of Ray's dashboard and job port, made explicit.

    1. The operator chose a mode, or Ray runs elsewhere (RAY_ADDRESS): nothing to add.
    2. A token is given: use it.
    3. The home folder is writable: Ray makes ``~/.ray/auth_token``, and ``serve status`` finds it.
    4. Else Ray would end at start-up: a token of this run only, known to no other process.
    """
    if "RAY_AUTH_MODE" in environ or "RAY_ADDRESS" in environ:
        return {}
    given = "RAY_AUTH_TOKEN" in environ or "RAY_AUTH_TOKEN_PATH" in environ
    if given or home_writable:
        return {"RAY_AUTH_MODE": "token"}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def missing_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to this environment."""
    home = Path(environ.get("HOME", "/nonexistent"))
    fixed = {name: value for name, value in FIXED.items() if name not in environ}
    return fixed | auth_variables(environ, home_is_writable(home))


def apply(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Add what is missing; returns what was added."""
    added = missing_variables(environ)
    environ.update(added)
    return added
