"""One look at a server as a screen of text."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from serve_app.client.machine import Machine

BAR = 40
MIB, GIB = 2**20, 2**30
LEVEL_STYLE = {"normal": "green", "warning": "yellow", "critical": "red", "emergency": "bold red"}
STATE_STYLE = {"READY": "green", "LOADING": "cyan", "UNLOADING": "yellow", "FAILED": "red"}
MODEL_STYLES = ("blue", "cyan", "magenta", "yellow")


def screen(machine: Machine) -> RenderableType:
    """Domains, models, pools, the last engines that ended and the last pages."""
    models = machine.history["models"]
    names = sorted(model["model"] for model in models)
    parts: list[RenderableType] = [Text(f"ocr-serve {machine.url}", style="bold")]
    for domain in machine.domains:
        parts += [Text(), _domain(domain, names)]
    parts += [Text(), _models(models), Text(), _pools(machine.history["pools"])]
    if machine.history["endings"]:
        parts += [Text(), _endings(machine.history, machine.history["endings"][:4])]
    if machine.tasks:
        parts += [Text(), _tasks(machine.tasks)]
    return Group(*parts)


def size(value: float) -> str:
    """Bytes as people read them."""
    return f"{value / GIB:.2f} GiB" if value >= GIB else f"{value / MIB:.0f} MiB"


def _domain(domain: dict[str, Any], names: list[str]) -> Text:
    held: dict[str, int] = {}
    for engine in domain["engines"]:
        held[engine["model"]] = held.get(engine["model"], 0) + engine["facts"]["memory_bytes"]
    total = domain["total_bytes"] or 1
    text = Text(f"{domain['domain'][:12]:<13}")
    filled = 0
    for name, value in (("others", domain["others_bytes"]), *sorted(held.items())):
        cells = round(BAR * value / total) if name == "others" else -(-BAR * value // total)
        text.append("█" * min(cells, BAR - filled), style=_style(name, names))
        filled = min(BAR, filled + cells)
    text.append("░" * (BAR - filled), style="bright_black")
    text.append(f" {size(domain['used_bytes'])} of {size(total)} ")
    text.append(domain["level"], style=LEVEL_STYLE.get(domain["level"], ""))
    text.append(f"\n{'':13}others {size(domain['others_bytes'])}", style="bright_black")
    for name, value in sorted(held.items()):
        text.append(f"  {name} {size(value)}", style=_style(name, names))
    text.append(
        f"  reserved {size(domain['reserved_bytes'])} of {size(domain['budget_bytes'])}",
        style="bright_black",
    )
    return text


def _style(name: str, names: list[str]) -> str:
    if name not in names:
        return "white"
    return MODEL_STYLES[names.index(name) % len(MODEL_STYLES)]


def _table(*heads: str) -> Table:
    """A head that begins with # is of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bright_black", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head.lstrip("#"), justify="right" if head[0] == "#" else "left")
    return table


def _models(models: list[dict[str, Any]]) -> Table:
    table = _table("model", "state", "#memory", "#references", "#waiting", "stays")
    for model in models:
        table.add_row(
            escape(model["model"]),
            Text(model["state"].lower(), style=STATE_STYLE.get(model["state"], "bright_black")),
            size(model["memory_bytes"]) if model["memory_bytes"] else "-",
            str(model["references"]),
            str(model["waiting"]),
            staying(model),
        )
    return table


def staying(model: dict[str, Any]) -> str:
    """Why a model is not unloaded, or when it will be."""
    if model["state"] == "UNLOADED":
        return ""
    if model["references"]:
        return "in use"
    if model["pinned"]:
        return "pinned"
    timeout_s = model["idle_timeout_s"]
    idle = [copy["idle_s"] for copy in model["copies"] if copy["idle_s"] is not None]
    if timeout_s is None or timeout_s < 0 or not idle:
        return "" if timeout_s is None or timeout_s >= 0 else "never unloaded"
    return f"{max(0.0, timeout_s - min(idle)):.0f} s more"


def _pools(pools: dict[str, Any]) -> Table:
    table = _table("pool", "device", "#workers", "level", "#running", "#waiting", "#pages/min")
    for name, pool in pools.items():
        rate = pool["drain_rate"]
        table.add_row(
            escape(name),
            pool["device"],
            str(pool["replicas"]),
            Text(pool["level"], style=LEVEL_STYLE.get(pool["level"], "")),
            str(pool["running"]),
            str(pool["queued"]),
            "-" if rate is None else f"{60 * rate:.0f}",
        )
    return table


def _endings(history: dict[str, Any], endings: list[dict[str, Any]]) -> Table:
    table = _table("ended", "why", "#seconds ago", "#given back")
    for one in endings:
        ago = max(0.0, history["at"] - one["at"])
        table.add_row(escape(one["model"]), one["reason"], f"{ago:.0f}", size(one["freed_bytes"]))
    return table


def _tasks(tasks: list[dict[str, Any]]) -> Table:
    table = _table(
        "page", "outcome", "#queue s", "#load s", "#run s", "#estimated", "#measured", "#of it"
    )
    for task in tasks:
        ratio = task["ratio"]
        table.add_row(
            f"{escape(task['model'])} {task['page']}",
            Text(task["error"] or task["outcome"], style="red" if task["error"] else "green"),
            *(f"{task[name]:.2f}" for name in ("queue_s", "load_s", "run_s")),
            size(task["estimate_bytes"]),
            size(task["peak_bytes"]),
            "-" if ratio is None else Text(f"{ratio:.0%}", style="red" if ratio > 1 else ""),
        )
    return table
