"""A real client, unmodified: ``paddleocr_mcp`` in a virtual environment of its own, over stdio."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.client_environment import python_with

PACKAGE = "paddleocr_mcp==0.8.5"
CONSTRAINTS = Path(__file__).with_name("mcp_constraints.txt")
CONSTRAINED_PYTHON = (3, 11)  # others resolve for themselves
ANSWER_TIMEOUT_S = 120.0
EXIT_TIMEOUT_S = 30.0


def installed() -> Path:
    """The folder of commands of the client's environment. Skips as ``python_with`` does."""
    constrained = sys.version_info[:2] == CONSTRAINED_PYTHON
    return python_with(PACKAGE, constraints=CONSTRAINTS if constrained else None).parent


@contextlib.contextmanager
def client(base_url: str, model: str, source: str = "self_hosted") -> Iterator[Client]:
    """The client, started as its users do it, with our server in place of the ``source``."""
    command = [str(installed() / "paddleocr_mcp"), "--model", model, "--ppocr_source", source]
    command += [f"--{source.replace('_', '-')}-base-url", base_url]
    command += {
        "aistudio": ["--aistudio_access_token", "any"],
        "qianfan": ["--qianfan_api_key", "any"],
    }.get(source, [])
    # A banner, and a look for updates on the network.
    quiet = {"FASTMCP_SHOW_SERVER_BANNER": "false", "FASTMCP_CHECK_FOR_UPDATES": "off"}
    process = subprocess.Popen(
        command,
        env={**os.environ, **quiet},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Client(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(EXIT_TIMEOUT_S) == 0
    finally:
        process.kill()
        process.wait()


class Client:
    """Speaks the Model Context Protocol over a process's pipes: one JSON-RPC message a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._last_id = 0
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        about = {"name": "ocr-serve-tests", "version": "0"}
        handshake = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": about}
        self._call("initialize", handshake)
        self._send({"method": "notifications/initialized"})

    def tools(self) -> list[str]:
        """Names of the tools that it offers."""
        return [tool["name"] for tool in self._call("tools/list", {})["tools"]]

    def read(self, tool: str, file: Path) -> str:
        """The text that the tool gives for a file."""
        return self.call(tool, input_data=str(file))

    def call(self, tool: str, **arguments: Any) -> str:
        """The text that the tool gives."""
        result = self._call("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        return "\n".join(item["text"] for item in result["content"] if item["type"] == "text")

    def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        while True:
            answer = json.loads(self._lines.get(timeout=ANSWER_TIMEOUT_S))
            if answer.get("id") == self._last_id:  # else a notification
                result: dict[str, Any] = answer["result"]
                return result

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
