"""What the pages of an answer cost, as response headers. Bytes, seconds; see facts.TaskRecord."""

from __future__ import annotations

from dataclasses import dataclass, field

from serve_app.document import PageResult
from serve_app.facts import TaskRecord


@dataclass(slots=True)
class Costs:
    """The records of the pages so far."""

    records: list[TaskRecord] = field(default_factory=list)

    def add(self, page: PageResult) -> None:
        """Remember what a page cost."""
        if page.record is not None:
            self.records.append(page.record)

    def headers(self) -> dict[str, str]:
        """Largest estimate and peak of a page, summed seconds; none where nothing was measured."""
        if not self.records:
            return {}
        estimate = max(self.records, key=lambda record: record.estimate_bytes).estimate_bytes
        peak = max(self.records, key=lambda record: record.peak_bytes).peak_bytes
        pools = ",".join(sorted({record.pool for record in self.records}))
        return {
            "x-ocr-pages": str(len(self.records)),
            "x-ocr-pool": pools,
            "x-ocr-estimate-bytes": str(estimate),
            "x-ocr-peak-bytes": str(peak),
            "x-ocr-queue-seconds": f"{max(record.queue_s for record in self.records):.3f}",
            "x-ocr-load-seconds": f"{max(record.load_s for record in self.records):.3f}",
            "x-ocr-run-seconds": f"{sum(record.run_s for record in self.records):.3f}",
            "x-ocr-cold": _flag(any(record.cold for record in self.records)),
            "x-ocr-fallback": _flag(any(record.fallback for record in self.records)),
        }


def _flag(value: bool) -> str:
    return "true" if value else "false"
