"""Pages of markdown joined to one text, with their pictures inside it or left out."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Literal

from serve_app.document import Markdown

PageImages = Literal["data_uri", "omit"]

_EMPTY_LINE = "\n\n"
_CHINESE = re.compile("[\u4e00-\u9fff]")

# What PaddleX writes (converter/markdown_format_funcs.py, layout_parsing/pipeline_v2.py): an
# <img> tag or, unless prettified, ![](key); most <img> tags in a centring <div> with a newline
# behind it. The lengths are bounded so that no text takes quadratic time.
_KEY_PREFIX = "imgs/"
_TAG = r'<img src="(?P<{}>[^"\n]{{1,300}})"[^<>]{{0,200}}>'
_DIV = rf'<div style="text-align: center;">\s{{0,8}}{_TAG.format("div_key")}\s{{0,8}}</div>\n?'
_REFERENCE = r"!\[[^\[\]\n]{0,200}\]\((?P<reference_key>[^()\s]{1,300})\)"
_PICTURE = re.compile(
    rf"(?P<gap>\n\n)?(?:{_DIV}|{_TAG.format('tag_key')}|{_REFERENCE})", flags=re.ASCII
)


class MarkdownJoiner:
    """Joins pages one after another without keeping their text.

    The rules are those of PaddleX's ``concatenate_markdown_pages`` (pipeline_v2.py): pages are
    set apart by an empty line, unless a paragraph runs on from one to the next; then by a space,
    or by nothing next to a Chinese character. Only the empty line that PaddleX puts before the
    first page is left out.
    """

    def __init__(self) -> None:
        self._first = True
        self._paragraph_ended = True
        self._last_char = ""

    def add(self, markdown: Markdown) -> str:
        """Return what is to be appended to the text so far."""
        piece = self._separator(markdown) + markdown.text
        self._first = False
        self._paragraph_ended = markdown.is_end
        self._last_char = (self._last_char + piece)[-1:]
        return piece

    def _separator(self, markdown: Markdown) -> str:
        if self._first:
            return ""
        if markdown.is_start or self._paragraph_ended:
            return _EMPTY_LINE
        if _CHINESE.match(self._last_char) or _CHINESE.match(markdown.text):
            return ""
        return " "


def inline_images(text: str, images: Mapping[str, bytes], mode: PageImages) -> str:
    """Make the markdown of one page independent of picture files.

    Call it page by page, before joining: the keys are places on a page, and two pages may have
    the same.

    Args:
        text: markdown of one page.
        images: JPEG bytes by key.
        mode: "data_uri" puts every picture of ``images`` into its reference and leaves other
            references alone; "omit" takes the references out, with the element around them and
            the empty line before.
    """
    if mode == "data_uri":
        return _PICTURE.sub(lambda match: _with_data_uri(match, images), text)
    left = _PICTURE.sub(lambda match: _without_picture(match, images), text)
    return left if text.startswith("\n") else left.lstrip("\n")


def replace_pictures(text: str, reference: Callable[[str], str | None]) -> str:
    """Markdown of one page with other references to its pictures.

    Args:
        reference: what to write for a key, in place of the element around it; None: leave it.
    """

    def written(match: re.Match[str]) -> str:
        new = reference(_key(match)[1])
        return match[0] if new is None else f"{match['gap'] or ''}{new}"

    return _PICTURE.sub(written, text)


def _key(match: re.Match[str]) -> tuple[str, str]:
    """Name of the group that holds the key, and the key."""
    for group in ("div_key", "tag_key", "reference_key"):
        if key := match[group]:
            return group, key
    raise AssertionError("one of the alternatives has matched")


def _with_data_uri(match: re.Match[str], images: Mapping[str, bytes]) -> str:
    group, key = _key(match)
    if key not in images:
        return match[0]
    start, end = match.span(group)
    before = match.string[match.start() : start]
    after = match.string[end : match.end()]
    encoded = base64.b64encode(images[key]).decode("ascii")
    return f"{before}data:image/jpeg;base64,{encoded}{after}"


def _without_picture(match: re.Match[str], images: Mapping[str, bytes]) -> str:
    _, key = _key(match)
    if key not in images and not key.startswith(_KEY_PREFIX):
        return match[0]
    # The empty line goes with the picture if another one follows, else it separates text.
    rest = match.string[match.end() : match.end() + len(_EMPTY_LINE)]
    return "" if rest in ("", _EMPTY_LINE) else (match["gap"] or "")
