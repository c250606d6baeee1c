"""What the pages of an answer cost: response headers, and the request's record. Bytes, seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from serve_app.document import PageResult, RequestIds
from serve_app.messages import Outcome, TaskRecord


@dataclass(slots=True)
class Costs:
    """The records of the pages so far; of a request that failed, of those before."""

    records: list[TaskRecord] = field(default_factory=list)

    def add(self, page: PageResult) -> None:
        """Remember what a page cost."""
        if page.record is not None:
            self.records.append(page.record)

    def record(
        self, ids: RequestIds, model: str, outcome: Outcome, error: str | None
    ) -> TaskRecord:
        """Largest estimate and peak of a page, longest queue and load, summed pixels and run."""
        pages = self.records
        return TaskRecord(
            task_id=ids.task,
            request_id=ids.request_id,
            model=model,
            pool=",".join(sorted({page.pool for page in pages})),
            device=pages[-1].device if pages else None,
            page=None,
            pixels=sum(page.pixels for page in pages),
            estimate_bytes=max((page.estimate_bytes for page in pages), default=0),
            peak_bytes=max((page.peak_bytes for page in pages), default=0),
            queue_s=max((page.queue_s for page in pages), default=0.0),
            load_s=max((page.load_s for page in pages), default=0.0),
            run_s=round(sum(page.run_s for page in pages), 4),
            outcome=outcome,
            fallback=any(page.fallback for page in pages),
            cold=any(page.cold for page in pages),
            attempt=max((page.attempt for page in pages), default=1),
            error=error,
        )

    def headers(self, ids: RequestIds, model: str) -> dict[str, str]:
        """The same for the answer; none where nothing was measured."""
        if not self.records:
            return {}
        whole = self.record(ids, model, "success", None)
        return {
            "x-ocr-pages": str(len(self.records)),
            "x-ocr-pool": whole.pool,
            "x-ocr-estimate-bytes": str(whole.estimate_bytes),
            "x-ocr-peak-bytes": str(whole.peak_bytes),
            "x-ocr-queue-seconds": f"{whole.queue_s:.3f}",
            "x-ocr-load-seconds": f"{whole.load_s:.3f}",
            "x-ocr-run-seconds": f"{whole.run_s:.3f}",
            "x-ocr-cold": _flag(whole.cold),
            "x-ocr-fallback": _flag(whole.fallback),
        }


def _flag(value: bool) -> str:
    return "true" if value else "false"
