"""The font of drawn pictures, without a download at that time.

The bundled one (WenQuanYi Micro Hei), if it was fetched with the weights; else the one inside
Pillow (Aileron), which has the letters of ASCII. ``paddlex.font_path`` wins over both
(``sandbox/environment.py``).
"""

from __future__ import annotations

import os
from pathlib import Path

from serve_app.weights import store as weights
from serve_app.weights.bundled import FONT, FONT_FILE


def drawing_font_path(cache_dir: Path | None = None) -> str:
    """Path of a font file that lives at least as long as this process.

    PaddleX wants a path (``PADDLE_PDX_LOCAL_FONT_FILE_PATH``) and else downloads its fonts.

    Args:
        cache_dir: of the bundled weights, as in ``weights.model_dir``.
    """
    try:
        return str(weights.model_dir(FONT, cache_dir) / FONT_FILE)
    except weights.WeightsMissing:
        return builtin_font_path()


def builtin_font_path() -> str:
    """Path of Pillow's own font, which lives in no file system."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=12)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    fd = os.memfd_create("ocr-serve-font")
    with os.fdopen(os.dup(fd), "wb") as file:
        font.path.seek(0)  # type: ignore[union-attr]
        file.write(font.path.read())  # type: ignore[union-attr]
    return f"/proc/self/fd/{fd}"
