"""A run on the terminal: a bar per document under way, one for all, a summary at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from serve_app.client.batch import Summary
from serve_app.client.files import Document

NAME_WIDTH = 40


class Bars:
    """Bars on stderr, so that results may go to stdout; without a terminal, nothing."""

    def __init__(self, documents: Sequence[Document], console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[Document, TaskID] = {}
        self._whole = self._progress.add_task("all documents", total=len(documents))

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def pages(self, document: Document, done: int, total: int) -> None:
        """A document has come so far."""
        task = self._tasks.get(document)
        if task is None:
            name = escape(str(document.source)[-NAME_WIDTH:])
            self._tasks[document] = task = self._progress.add_task(name, total=None)
        self._progress.update(task, completed=done, total=total or None)

    def ended(self, document: Document, so_far: int) -> None:
        """A document has ended; its bar goes."""
        task = self._tasks.pop(document, None)
        if task is not None:
            self._progress.remove_task(task)
        self._progress.update(self._whole, completed=so_far)


def tell(summary: Summary, seconds: float, console: Console) -> None:
    """The end of a run: failures with their reasons, then the numbers."""
    for document, why in summary.failures.items():
        console.print(f"[red]failed[/] {escape(str(document.source))}: {escape(why)}")
    parts = [f"{summary.count('done')} done"]
    if skipped := summary.count("skipped"):
        parts.append(f"{skipped} there already (--force parses them again)")
    if failed := summary.count("failed"):
        parts.append(f"[red]{failed} failed[/]")
    pages = f", {summary.pages} pages" if summary.pages else ""
    console.print(f"{', '.join(parts)}{pages} in {seconds:.1f} s")
