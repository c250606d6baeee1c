"""PaddleX's names of what is on a page, by what they mean for its text."""

from __future__ import annotations

#: What may be a picture, or text that was taken for one.
PICTURES = frozenset({"image", "figure", "chart", "flowchart", "header_image", "footer_image"})
#: What text does not run through, and what is not made of lines.
SOLID = PICTURES | {"table", "seal", "formula"}
#: Headings.
TITLES = frozenset(
    {"doc_title", "paragraph_title", "abstract_title", "reference_title", "content_title"}
)
#: Running text: what may go on in the next column or on the next page.
RUNNING = frozenset({"text", "reference", "reference_content", "abstract"})
#: Running headers, footers and page numbers.
FURNITURE = frozenset({"header", "footer", "number"})
#: What stands beside the text, on its side.
ASIDE = "aside_text"
# Lines of a program.
LISTING = "algorithm"
