"""What an operator may see of a server, asked for over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

TIMEOUT_S = 10.0
TASKS = 12


class NoAnswer(Exception):
    """The server cannot be reached or does not tell; ``str()`` says why, for people."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One look, as the routes answered it.

    Attributes:
        domains: as of /v1/memory.
        history: of /v1/memory/history, without samples.
        tasks: the last pages, newest first.
    """

    url: str
    domains: list[dict[str, Any]]
    history: dict[str, Any]
    tasks: list[dict[str, Any]]


class MachineClient:
    """Asks one server.

    Args:
        url: of the server.
        key: an operator's key, if it asks for one.
        transport: for tests; default: real connections.
    """

    def __init__(
        self, url: str, key: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._url = url
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=TIMEOUT_S, transport=transport
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def look(self) -> Machine:
        """As it is now.

        Raises:
            NoAnswer: see there.
        """
        # No samples: later than any.
        history = self._get("/v1/memory/history", since=1e11)
        tasks = self._get("/v1/tasks", kind="page", limit=TASKS)["tasks"]
        return Machine(self._url, history["now"], history, tasks)

    def _get(self, path: str, **query: float | str) -> dict[str, Any]:
        try:
            answer = self._http.get(path, params=query)
            body: dict[str, Any] = answer.json()
        except httpx.HTTPError as error:
            raise NoAnswer(f"{self._url} does not answer: {type(error).__name__}") from None
        except ValueError:
            raise NoAnswer(f"{self._url}{path} answers {answer.status_code}, not JSON") from None
        if answer.status_code != 200:
            told = body.get("error") or {}
            raise NoAnswer(f"{path}: {told.get('message') or answer.status_code}")
        return body
