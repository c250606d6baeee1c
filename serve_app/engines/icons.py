"""What the recogniser makes of icons beside a page's own text: a character of another script."""

from __future__ import annotations

from collections.abc import Iterable

from serve_app.layout.script import is_wide

# Beside fewer letters than these it is not known in which scripts a page is written.
ENOUGH_LETTERS = 20
# An icon comes as one character, or as two where it has two parts.
MOST_CHARACTERS = 2


class Icons:
    """Knows the scripts of a page from its text layer.

    The bundled recogniser reads most languages, and reads a drawn calendar as U+65E5, a box as
    U+53E3: on a page of which all text in the layer is of other scripts, those are no text. Words
    in a picture are longer, and stay.

    Args:
        layer: the page's lines of text.
    """

    def __init__(self, layer: Iterable[str]) -> None:
        letters = [character for line in layer for character in line if character.isalpha()]
        self._known = len(letters) >= ENOUGH_LETTERS and not any(map(is_wide, letters))

    def has(self, text: str) -> bool:
        """Whether a recognised line is one."""
        characters = "".join(text.split())
        short = 0 < len(characters) <= MOST_CHARACTERS
        return self._known and short and all(map(is_wide, characters))
