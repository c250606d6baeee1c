"""A request's file in Ray's object store, for as long as its pages are predicted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError

from serve_app.document import FileBytes
from serve_app.storage import temporary_full

log = logging.getLogger("ocr_serve.gateway")


@contextlib.asynccontextmanager
async def stored(data: FileBytes) -> AsyncIterator[ray.ObjectRef[Any]]:
    """Put once; every page's worker maps the same copy.

    Raises StorageFull: the store, and the disk behind it, have no room.

    The store lets go of it with the last reference: the block's, and those of calls in flight.
    """
    # An array, since bytes would be copied.
    try:
        there = await asyncio.to_thread(ray.put, np.frombuffer(data, np.uint8))
    except (OutOfDiskError, ObjectStoreFullError) as error:
        log.warning("no room for a file", extra={"error": type(error).__name__})
        raise temporary_full("the file in Ray's object store", len(data)) from None
    yield there
