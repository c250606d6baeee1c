"""What can go wrong when a device is read.

    DeviceError
    ├── NvmlUnavailable      no NVML library, or no driver behind it
    ├── GpuNotFound          CUDA_VISIBLE_DEVICES names a GPU that NVML does not know
    ├── GpuLost              fell off the bus, or needs a reset: its work is gone
    └── SimulationInvalid    the file of simulated readings cannot be read

For the shells that read devices; no client sees them. Positional arguments only, so that they
pass through pickle.
"""

from __future__ import annotations


class DeviceError(Exception):
    """A reading failed; the next one may succeed. Args: message."""


class NvmlUnavailable(DeviceError):
    """There is no NVML library, or it finds no driver that it can talk to."""


class GpuNotFound(DeviceError):
    """CUDA_VISIBLE_DEVICES names a GPU that does not exist here."""


class GpuLost(DeviceError):
    """The GPU fell off the bus or needs a reset; processes on it do not recover."""


class SimulationInvalid(DeviceError):
    """OCR_SERVE_SIMULATED_DEVICES names a file that is missing or not of its format."""
