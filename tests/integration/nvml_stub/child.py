"""A process with a GPU probe, told by lines of JSON on stdin what to do; one line back for each.

Requests: open (visible), read (pids), per_process (pids), close, logs, counts (NVML's starts, and
those not yet shut down). Logs and starts begin anew with open.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import pynvml

from serve_app.devices.errors import DeviceError
from serve_app.devices.gpu import GpuProbe


class Child:
    """Holds one probe at a time."""

    def __init__(self) -> None:
        self.probe = GpuProbe("")
        self.starts_before = 0
        self.lines: list[str] = []
        handler = logging.Handler()
        handler.emit = self._keep  # type: ignore[method-assign]
        logging.getLogger("ocr_serve").addHandler(handler)

    def _keep(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()}: {vars(record).get('reason')}")

    def answer(self, request: Mapping[str, Any]) -> Any:
        """The result of one request; None where there is none."""
        if request["do"] == "open":
            self.probe.close()
            self.probe = GpuProbe(request["visible"])
            self.lines.clear()
            self.starts_before = _stub("starts")
            return None
        if request["do"] == "logs":
            return self.lines
        if request["do"] == "counts":
            return [_stub("starts") - self.starts_before, _stub("sessions")]
        if request["do"] == "read":
            return [dataclasses.asdict(reading) for reading in self.probe.read(request["pids"])]
        if request["do"] == "per_process":
            return self.probe.per_process(request["pids"])
        assert request["do"] == "close"
        return self.probe.close()


def _stub(counter: str) -> int:
    library = pynvml.nvmlLib
    return int(getattr(library, f"nvml_stub_{counter}")()) if library is not None else 0


def main() -> None:
    """Until the end of stdin. A DeviceError is an answer, anything else ends the process."""
    child = Child()
    for line in sys.stdin:
        try:
            answer = {"result": child.answer(json.loads(line))}
        except DeviceError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
