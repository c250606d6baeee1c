"""Text of a document as Markdown that means this text: no list, heading, link or HTML of its own.

Documents are untrusted. What they hold must not become a link or a tag where the
Markdown is shown, whichever renderer shows it; so `<` becomes an entity where it could open a tag.
Otherwise as little as possible is escaped: people read the Markdown itself, too.
"""

from __future__ import annotations

import re

# `<` opens a tag, a comment or an autolink only before these; `&` an entity only as a whole one.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_ENTITY = re.compile(r"&(?=#?\w{1,32};)")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~]|$)")
# A link needs `](`, `][` or `]:`; what is joined later, from another page, comes with a space.
_LINK = re.compile(r"\](?=[(\[:])")
_STRIKE = re.compile(r"~~")
# `#` at the end of a heading is no text.
_CLOSING = re.compile(r"(?<!\S)#+$")
_EMPHASIS = re.compile(r"(?<!\\)\*")
# Inside words an underscore means nothing.
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(
    r"""^(?: (?P<mark>\#{1,6}(?=\s|$) | > | [-+*](?=\s|$) | ~{3,} | [-_*=+|:][-_*=|:\s]*$ )
           | (?P<number>\d{1,9})(?P<dot>[.)])(?=\s|$) )""",
    re.VERBOSE,
)


def escape(text: str) -> str:
    """One or more lines of text as Markdown; `"\\n"` stays where it is."""
    text = _anywhere(text)
    starred = text.count("*") > 1
    return "\n".join(_line(line.strip(), starred) for line in text.split("\n"))


def escape_heading(text: str) -> str:
    """One line of text behind the mark of a heading, where nothing else can begin."""
    text = _anywhere(text).strip()
    if text.count("*") > 1:
        text = _EMPHASIS.sub(r"\\*", text)
    return _CLOSING.sub(r"\\\g<0>", text)


def escape_formula(text: str) -> str:
    """LaTeX that is no tag and no link to those who do not know formulas: by spaces alone."""
    return re.sub(r"\]\s*(?=[(\[:])", "] ", _TAG.sub("< ", text))


def _anywhere(text: str) -> str:
    text = _BACKSLASH.sub(r"\\\\", text)
    text = _ENTITY.sub("&amp;", text)
    text = _TAG.sub("&lt;", text)
    if text.count("`") > 1:
        text = text.replace("`", "\\`")
    text = _LINK.sub(r"\\]", text)
    text = _STRIKE.sub(r"\\~\\~", text)
    if len(_UNDERSCORE.findall(text)) > 1:
        text = _UNDERSCORE.sub(r"\\_", text)
    return text


def _line(line: str, starred: bool) -> str:
    found = _LEADING.match(line)
    if found and found["mark"]:
        rest = line[1:]
        return "\\" + line[0] + (_EMPHASIS.sub(r"\\*", rest) if starred else rest)
    if starred:
        line = _EMPHASIS.sub(r"\\*", line)
    if found:
        return f"{found['number']}\\{line[len(found['number']) :]}"
    return line


def fenced(text: str) -> str:
    """As code, in a fence that is longer than any in it; nothing in it is escaped."""
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
