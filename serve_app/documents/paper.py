"""Pictures with transparency, laid on paper: white, or black where nobody could read on white.

Letters cut out for a dark page are white on nothing, and would vanish on white. So the paper is
chosen by contrast: black only where next to nothing of what is opaque stands out from white. In
doubt it is white, as all other software has it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE, BLACK = (255, 255, 255), (0, 0, 0)

# Of 255 in luminance: what differs less from its ground is not seen. Light yellow on white differs
# by 29, light grey (#c0c0c0) by 63.
_CONTRAST = 64
# Black paper where less than this share of the opaque area stands out from white.
_SEEN_SHARE = 0.05
# Letters cover less than this share of a picture; what covers more is a ground of its own.
_LETTERS_SHARE = 0.5
# Pixels that are looked at, one in so many of a large picture: a copy of all is not worth it.
_SAMPLE_PIXELS = 1_000_000

_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}


def laid_on_paper(image: Image.Image) -> Image.Image:
    """A picture with transparency of any kind as RGB without."""
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    paper = Image.new("RGB", image.size, paper_for(image))
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def paper_for(image: Image.Image) -> tuple[int, int, int]:
    """The colour that an RGBA picture is best seen on."""
    step = max(1, round((image.width * image.height / _SAMPLE_PIXELS) ** 0.5))
    size = (max(1, image.width // step), max(1, image.height // step))
    sample = image.resize(size, Image.Resampling.NEAREST)
    opacity = np.asarray(sample.getchannel("A"), np.float32)
    if opacity.max() == 0 or opacity.mean() > 255 * _LETTERS_SHARE:
        return WHITE
    luminance = np.asarray(sample.convert("L"), np.int16)
    seen_on_white = opacity[255 - luminance >= _CONTRAST].sum() / opacity.sum()
    seen_on_black = opacity[luminance >= _CONTRAST].sum() / opacity.sum()
    return BLACK if seen_on_white < _SEEN_SHARE < seen_on_black else WHITE
