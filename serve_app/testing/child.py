"""Child processes that are none: they hold, grow and fail as they are told, on the event loop.

``FakeMachine`` stands for the kernel and makes ``FakeChild``s, which stand for
``child/process.ChildProcess`` around the fake pipeline of ``testing/engine.py``: the same commands,
the same failures (``tests/integration/test_fake_child.py`` compares the two). Nothing is allocated,
and nothing takes longer than the loop's own clock says.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from serve_app.child.channel import SealedFile
from serve_app.child.process import (
    ChildCrashed,
    ChildGarbage,
    ChildHung,
    ChildProcess,
    JobFailed,
    Payload,
)
from serve_app.devices.process_memory import ProcessMemory
from serve_app.document import Line, PageResult
from serve_app.errors import InvalidFile
from serve_app.page_codec import encode_result

MIB = 2**20
# What ``child/host.py`` ends with when its pipeline wanted to exit.
HOST_EXIT = 70
_MARK = b"\n#fault "


@dataclass(slots=True)
class FakeMachine:
    """The kernel's part: which children live, and what they hold.

    Attributes:
        load_s, page_s, end_s: what a load, a page, and the end of a process take.
        base_bytes: held by a child that has loaded.
        started: every child that was ever started, by pid.
    """

    load_s: float = 0.05
    page_s: float = 0.01
    end_s: float = 0.002
    base_bytes: int = 20 * MIB
    started: dict[int, FakeChild] = field(default_factory=dict)
    _pids: itertools.count[int] = field(default_factory=lambda: itertools.count(5001))

    def child(
        self,
        factory: str,
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        hub: bool = False,
    ) -> FakeChild:
        """In the place of ``ChildProcess``."""
        return FakeChild(self, name)

    def spawn(self, child: FakeChild) -> int:
        """A pid, which is never used again."""
        pid = next(self._pids)
        self.started[pid] = child
        return pid

    def exists(self, pid: int) -> bool:
        """Whether there is such a process."""
        return pid in self.started and self.started[pid].alive

    @property
    def alive(self) -> list[FakeChild]:
        """Those that are not gone."""
        return [child for child in self.started.values() if child.alive]

    def read(self, pid: int) -> ProcessMemory | None:
        """In the place of ``process_memory.read``."""
        child = self.started.get(pid)
        if child is None or not child.alive:
            return None
        return ProcessMemory(child.resident_bytes, child.peak_bytes)

    def reset_peak(self, pid: int) -> bool:
        """In the place of ``process_memory.reset_peak``."""
        child = self.started[pid]
        child.peak_bytes = child.resident_bytes
        return True

    def per_process(self, pids: Collection[int]) -> dict[int, int]:
        """In the place of a device's reading: what each of them holds."""
        return {pid: self.started[pid].resident_bytes for pid in pids if self.exists(pid)}


class FakeChild(ChildProcess):
    """See the module's docstring. ``load`` in its spec is a command, as in a page's file."""

    def __init__(self, machine: FakeMachine, name: str) -> None:
        self._machine, self.name = machine, name
        self._pid: int | None = None
        self.killed = False
        self.device_bytes = self.device_peak_bytes = 0
        self.exited = asyncio.get_running_loop().create_future()
        #: Kept by pages; kept for the next one until a trim.
        self.eaten_bytes = self.free_heap_bytes = 0
        self.peak_bytes = 0
        self._told: tuple[int, int] | None = None
        self._works = False

    @property
    def pid(self) -> int:
        assert self._pid is not None, "not started"
        return self._pid

    @property
    def alive(self) -> bool:
        return self._pid is not None and not self.exited.done()

    @property
    def resident_bytes(self) -> int:
        """Held now."""
        return self._machine.base_bytes + self.eaten_bytes + self.free_heap_bytes

    async def start(self, spec: Mapping[str, Any], *, timeout_s: float) -> None:
        """Takes ``load_s``."""
        try:
            self._pid = self._machine.spawn(self)
            await self._work(self._machine.load_s, timeout_s)
            await self._act(spec.get("load", {}), timeout_s)
        except BaseException:
            self.kill()
            await asyncio.wait([self.exited])
            raise

    async def run(self, job: Mapping[str, Any], payload: Payload, *, timeout_s: float) -> bytes:
        """Does what the page's file says; see ``testing.engine.FakeHandler.handle``."""
        if not self.alive:
            raise ChildCrashed(f"{self.name} is gone", self._returncode())
        assert not isinstance(payload, SealedFile), "pages are not rendered here"
        command = json.loads(bytes(payload[0]).rpartition(_MARK)[2])
        index = job.get("index", 0)
        if command.get("only_page", index) != index:
            command = {}
        try:
            self._forget_peak()
            self.eaten_bytes += command.get("eat_bytes", 0)
            self.free_heap_bytes = max(self.free_heap_bytes, command.get("use_bytes", 0))
            self.peak_bytes = max(self.peak_bytes, self.resident_bytes)
            if told := command.get("tell_bytes"):
                self._told = told[0], told[1]
            await self._work(self._machine.page_s, timeout_s)
            await self._act(command, timeout_s)
        except asyncio.CancelledError:
            self.kill()
            raise
        self._tell()
        if command.get("garbage"):
            return b"\xff\xff\xff\xff garbage"
        if command.get("no_message"):
            self.kill()
            raise ChildGarbage(f"{self.name}: no message")
        text = (str(self.pid), *job.get("options", {}).get("predict", {}))
        lines = tuple(Line(one, (0, 0, 10, 20), 1.0) for one in text)
        result = PageResult(index, 10, 20, b"{}", text, lines=lines)
        return b"".join(encode_result(result))

    async def trim(self, *, timeout_s: float = 10.0) -> None:
        """Free heap goes; of the device's memory a half."""
        if not self.alive:
            raise ChildCrashed(f"{self.name} is gone", self._returncode())
        await asyncio.sleep(0)
        self.free_heap_bytes = 0
        if self._told is not None:
            held, peak = self._told
            self._told = held // 2, peak
        self._tell()

    async def stop(self, *, grace_s: float) -> int:
        """It ends by itself, unless it works."""
        if self.alive and not self._works:
            self.die(0)
            await asyncio.wait([self.exited], timeout=grace_s)
        self.kill()
        return await asyncio.shield(self.exited)

    def kill(self) -> None:
        """It is gone a little later, as with a real one."""
        self.killed = True
        if self._pid is None:
            self._end(-signal.SIGKILL)
        else:
            self.die(-signal.SIGKILL)

    def die(self, returncode: int) -> None:
        """End it, as from outside."""
        asyncio.get_running_loop().call_later(self._machine.end_s, self._end, returncode)

    def _end(self, returncode: int) -> None:
        if not self.exited.done():
            self.exited.set_result(returncode)

    async def _work(self, seconds: float, timeout_s: float) -> None:
        self._works = True
        try:
            await asyncio.wait([self.exited], timeout=min(seconds, timeout_s))
        finally:
            self._works = False
        if self.exited.done():
            code = self.exited.result()
            raise ChildCrashed(f"{self.name} ended with {code}", code)
        if seconds > timeout_s:
            self.kill()
            raise ChildHung(f"{self.name} gave no answer within {timeout_s:g} s")

    async def _act(self, command: Mapping[str, Any], timeout_s: float) -> None:
        await self._work(command.get("sleep_s", 0), timeout_s)
        if "fail" in command:
            raise JobFailed("exception", f"RuntimeError: {command['fail']}")
        if "invalid" in command:
            raise InvalidFile(command["invalid"])
        if "memory_error" in command:
            raise JobFailed("memory", "MemoryError")
        if "exit" in command:  # the host tells of it, then it goes
            self.die(HOST_EXIT)
            raise JobFailed("exception", f"SystemExit: {command['exit']}")
        if "crash" in command:
            self._end(-command["crash"])
            await self._work(0, timeout_s)

    def _forget_peak(self) -> None:
        if self._told is not None:
            self._told = self._told[0], self._told[0]

    def _tell(self) -> None:
        if self._told is not None:
            self.device_bytes, self.device_peak_bytes = self._told
            self._forget_peak()
