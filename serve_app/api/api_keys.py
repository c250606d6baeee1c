"""API keys: who may call, as what, and how often. Only their SHA-256 is ever stored.

A key is 256 random bits, so a plain hash is enough: there is nothing to guess, and no password to
protect by a slow one. The list is YAML (hence also JSON), in a file or in a variable:

    - name: scanner-3              # in logs; letters, digits, dots, dashes
      sha256: 9f86d081…            # of the key, 64 hex digits
      role: client                 # client, or operator: also /v1/memory, /v1/tasks and the orders
      requests_per_minute: 600     # optional, per gateway replica
      max_concurrent_requests: 8   # optional, per gateway replica; else as `auth` says
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from serve_app.clock import now
from serve_app.settings import AuthSettings, PositiveFloat, PositiveInt, Strict

log = logging.getLogger("ocr_serve.auth")

Role = Literal["client", "operator"]
KEY_PREFIX = "ocrs_"
KEY_BYTES = 32
# A mounted secret changes once a minute at most; looking costs one stat().
LOOK_AGAIN_S = 1.0
NO_KEYS = "auth.required is true, but there are no API keys"


class ApiKeysError(ValueError):
    """The list of keys cannot be used. Never quotes a key."""


class ApiKey(Strict):
    """One entry of the list."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: Role = "client"
    requests_per_minute: PositiveFloat | None = None
    max_concurrent_requests: PositiveInt | None = None


_KEYS = TypeAdapter(tuple[ApiKey, ...])


def new_key(name: str, role: Role) -> tuple[str, ApiKey]:
    """A fresh key, and its entry for the list."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, ApiKey(name=name, sha256=_digest(key), role=role)


def parse_keys(text: str, source: str) -> tuple[ApiKey, ...]:
    """The entries of a list; none if it is empty, or nothing but comments.

    Raises:
        ApiKeysError: it is no list of entries, or two of them have one name or one key.
    """
    try:
        loaded = yaml.safe_load(text)
        keys = _KEYS.validate_python(() if loaded is None else loaded)
    except yaml.YAMLError as error:
        at = getattr(error, "problem_mark", None)
        where = f", line {at.line + 1}" if at else ""
        raise ApiKeysError(f"{source}: not YAML{where}") from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        first = details[0]
        where = ".".join(map(str, first["loc"])) or "the list"
        raise ApiKeysError(f"{source}: {where}: {first['msg']}") from None
    for attribute in ("name", "sha256"):
        if len({getattr(key, attribute) for key in keys}) < len(keys):
            raise ApiKeysError(f"{source}: two entries have the same {attribute}")
    return keys


def find(keys: tuple[ApiKey, ...], presented: str) -> ApiKey | None:
    """The entry of a presented key. Takes the same time whichever it is, or if it is none."""
    digest = _digest(presented)
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class KeySource:
    """The keys of the configuration's file, read again when it changes, or of the variable.

    Args:
        settings: where they are.
        environ: of this process.
        clock: seconds, monotonic.
        on_look: called each time the file is looked at; whether it cannot be read.

    Attributes:
        broken: whether that is so now.

    Raises:
        ApiKeysError: there are none, or they cannot be read. Later on a file that cannot be read
            is logged, and the keys from before stay valid; one without keys revokes them all.
    """

    def __init__(
        self,
        settings: AuthSettings,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = now,
        on_look: Callable[[bool], None] = lambda broken: None,
    ) -> None:
        self._file, self._clock, self._on_look = settings.keys_file, clock, on_look
        self.broken = False
        self._looked_s = clock()
        if self._file is not None:
            self._seen = _version(self._file)
            self._keys = _read(self._file)
        elif text := environ.get(settings.keys_env):
            self._keys = parse_keys(text, f"${settings.keys_env}")
        else:
            where = f"auth.keys_file is not set, and ${settings.keys_env} is empty"
            raise ApiKeysError(f"{NO_KEYS}: {where}")
        if not self._keys:
            where = f"${settings.keys_env}" if self._file is None else str(self._file)
            raise ApiKeysError(f"{NO_KEYS}: the list in {where} is empty")

    def current(self) -> tuple[ApiKey, ...]:
        """The keys that are valid now."""
        if self._file is not None and self._clock() - self._looked_s >= LOOK_AGAIN_S:
            self._looked_s = self._clock()
            self._look_again(self._file)
        return self._keys

    def _look_again(self, file: Path) -> None:
        version = _version(file)
        if version != self._seen:
            self._seen = version
            self._read_again(file)
        self._on_look(self.broken)

    def _read_again(self, file: Path) -> None:
        try:
            self._keys = _read(file)
        except ApiKeysError as error:
            self.broken = True
            log.error("API keys not reloaded; those from before stay", extra={"error": str(error)})  # noqa: TRY400
            return
        self.broken = False
        level = logging.INFO if self._keys else logging.WARNING
        log.log(level, "API keys reloaded", extra={"keys": len(self._keys)})


def _version(file: Path) -> tuple[int, ...] | None:
    """Changes when the file does, also when a symbolic link on its way is moved; None: no file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(file: Path) -> tuple[ApiKey, ...]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ApiKeysError(f"{file}: {error}") from None
    return parse_keys(text, str(file))
