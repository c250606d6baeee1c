"""Which scripts and languages the bundled recognisers know. Data, from their dictionaries.

Source: the ``character_dict`` of each model's inference.yml, which is every character that it can
answer. A language is named if all letters of its alphabet are there, small and capital; how well
they are read is another question. ``tests/integration/test_weights.py`` compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.settings import ModelSettings

# What `source: bundled` uses unless `modules` says otherwise.
_DEFAULT = "PP-OCRv6_small_rec"


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a recogniser can answer.

    Attributes:
        scripts: of which it has the letters, by their Unicode names.
        languages: whose alphabets it has as a whole, ISO 639-1.
    """

    scripts: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


_CHINESE_JAPANESE = ("Latin", "Han", "Hiragana", "Katakana", "Greek")
_V6 = (
    "zh ja en az bs ca cs cy da de eo es et fi fr ga hr hu is it lt lv mt nl no pl pt ro sk sl sq "
    "sv tr"
)

RECOGNISED: Mapping[str, Recognised] = {
    # Greek without accents and final sigma: formulas, not the language.
    "PP-OCRv6_small_rec": Recognised(_CHINESE_JAPANESE, tuple(_V6.split())),
    "PP-OCRv5_mobile_rec": Recognised(
        _CHINESE_JAPANESE, ("zh", "ja", "en", "de", "fi", "sl", "sv")
    ),
    "PP-OCRv4_mobile_rec": Recognised(("Latin", "Han"), ("zh", "en")),
}


def recognised_by(model: ModelSettings) -> Recognised:
    """What a declared model can read; empty where its weights are not bundled ones."""
    if model.weights.source != "bundled":
        return Recognised()
    return RECOGNISED.get(model.modules.get("TextRecognition", _DEFAULT), Recognised())
