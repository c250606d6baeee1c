"""A font for drawn pictures without a download: the one inside Pillow (Aileron, no CJK glyphs)."""

from __future__ import annotations

import os


def builtin_font_path() -> str:
    """Path of a TrueType file that lives as long as this process and in no file system.

    PaddleX wants a path (``PADDLE_PDX_LOCAL_FONT_FILE_PATH``) and else downloads its fonts.
    """
    from PIL import ImageFont

    font = ImageFont.load_default(size=12)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    fd = os.memfd_create("ocr-serve-font")
    with os.fdopen(os.dup(fd), "wb") as file:
        font.path.seek(0)  # type: ignore[union-attr]
        file.write(font.path.read())  # type: ignore[union-attr]
    return f"/proc/self/fd/{fd}"
