"""``python -m tests.bench.guard SESSION``: ends what a bench leaves behind when it is killed.

Frozen processes cannot notice that their parent is gone. This one reads its stdin, which ends with
the bench however that ends, and then kills every process of the session; after a clean end there
is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.processes import SESSION, clean_environment, kill_all, python, tagged


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Run the block under a guard."""
    guard = subprocess.Popen(
        python("-m", "tests.bench.guard", SESSION),
        stdin=subprocess.PIPE,
        env=clean_environment(),
        start_new_session=True,  # Ctrl-C is not for it
    )
    with guard:  # closes its stdin and waits for it
        yield


def cancel_on_sigterm() -> None:
    """SIGTERM cancels the current task, so that what it started is stopped on the way out."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def main(argv: list[str]) -> None:
    sys.stdin.buffer.read()
    kill_all(tagged(argv[1]))


if __name__ == "__main__":
    main(sys.argv)
