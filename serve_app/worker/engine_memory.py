"""What one engine holds on its worker's device: the one place that knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from serve_app.child.process import ChildProcess
from serve_app.devices import process_memory


class ResidentMemory:
    """Of an engine whose device is the machine's RAM: the kernel tells at any time.

    Attributes:
        baseline_bytes: held after the largest page so far: what later growth is measured against.
            A new engine would grow as much with the next page of that size.
    """

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self._resident_baseline_bytes = 0
        self._baseline_pixels = -1

    @property
    def baseline_bytes(self) -> int:
        return self._resident_baseline_bytes

    @property
    def drift_bytes(self) -> int:
        """Grown by since then."""
        return self.resident_bytes() - self._resident_baseline_bytes

    def resident_bytes(self) -> int:
        """In RAM now; 0 when the process is gone."""
        memory = process_memory.read(self._child.pid) if self._child.alive else None
        return memory.resident_bytes if memory else 0

    def held_bytes(self) -> int:
        """On the device now, as far as it is known without asking the device."""
        return self.resident_bytes()

    def note(self, read: Mapping[int, int]) -> int:
        """Take a reading of the device, bytes by pid; what the engine holds by it."""
        return read.get(self._child.pid, 0)

    def page_done(self, pixels: int) -> None:
        """A page of so many pixels has ended: what the largest one left behind is no drift."""
        if pixels > self._baseline_pixels:
            self._baseline_pixels = pixels
            self._grown()

    def _grown(self) -> None:
        self._resident_baseline_bytes = max(self._resident_baseline_bytes, self.resident_bytes())

    async def after_page(
        self, read_device: Callable[[], Awaitable[int]], *, peak_bytes: int, rendering_bytes: int
    ) -> tuple[int, int]:
        """What it holds after the page, and held at most under it.

        Args:
            read_device: asks the device; not needed here.
            peak_bytes: the most resident bytes under the page.
            rendering_bytes: together with the process that rendered the page, while there was one.
        """
        return self.resident_bytes(), max(peak_bytes, rendering_bytes)


class DeviceMemory(ResidentMemory):
    """Of an engine on a device with memory of its own: known from readings."""

    def __init__(self, child: ChildProcess) -> None:
        super().__init__(child)
        self._read_bytes: int | None = None
        self._device_baseline_bytes = 0

    @property
    def baseline_bytes(self) -> int:
        known = self._read_bytes is not None
        return self._device_baseline_bytes if known else super().baseline_bytes

    @property
    def drift_bytes(self) -> int:
        """The larger growth, in RAM or on the device."""
        on_device = (self._read_bytes or 0) - self._device_baseline_bytes
        return max(super().drift_bytes, on_device)

    def held_bytes(self) -> int:
        """The last reading; before the first one, what it holds in RAM."""
        return self.resident_bytes() if self._read_bytes is None else self._read_bytes

    def note(self, read: Mapping[int, int]) -> int:
        """As the device tells; where it does not tell whose memory it is, as the engine told.

        That is without what the driver holds for the process (CUDA's context: 518 MiB on an H100),
        and before what the engine has given back at rest since.
        """
        told = self._child.device_bytes if self._child.alive else 0
        self._read_bytes = read.get(self._child.pid, told)
        return self._read_bytes

    async def after_page(
        self, read_device: Callable[[], Awaitable[int]], *, peak_bytes: int, rendering_bytes: int
    ) -> tuple[int, int]:
        """As in RAM; the page was rendered elsewhere.

        An allocator keeps what it had at most, so what the device tells after the page is the peak;
        if it gave something back, the allocator knows its own.
        """
        held = await read_device()
        given_back = max(self._child.device_peak_bytes - self._child.device_bytes, 0)
        return held, held + given_back

    def _grown(self) -> None:
        super()._grown()
        self._device_baseline_bytes = max(self._device_baseline_bytes, self._read_bytes or 0)
