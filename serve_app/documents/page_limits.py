"""The limits on pages and their sizes, checked before anything is decoded and again after."""

from __future__ import annotations

from serve_app.errors import ImageTooLarge, TooManyPages
from serve_app.settings import DocumentSettings, LimitSettings


def check_page_count(count: int, limits: LimitSettings, *, what: str = "number of pages") -> None:
    """Refuse a document of more than ``limits.max_pages`` pages or frames.

    Raises:
        TooManyPages: with ``count`` as the value met.
    """
    if count > limits.max_pages:
        raise TooManyPages(what, count, limits.max_pages, "limits.max_pages")


def check_pixels(
    width: int,
    height: int,
    limits: LimitSettings,
    *,
    where: str,
    documents: DocumentSettings | None = None,
) -> None:
    """Refuse a picture of more than ``limits.max_page_pixels`` pixels.

    With ``documents`` also of more than ``documents.max_render_pixels``: one that cannot be
    decoded smaller.

    Raises:
        ImageTooLarge: with ``width * height`` as the value met.
    """
    allowed = {"limits.max_page_pixels": limits.max_page_pixels}
    if documents is not None:
        allowed["documents.max_render_pixels"] = documents.max_render_pixels
    key = min(allowed, key=lambda name: allowed[name])
    if width * height > allowed[key]:
        raise ImageTooLarge(
            f"{where}: width x height ({width} x {height})", width * height, allowed[key], key
        )


def check_page_size(width: int, height: int, limits: LimitSettings, *, where: str) -> None:
    """Refuse a page that is too large, too long or too thin.

    Args:
        width, height: pixels, both at least 1.
        limits: what is allowed.
        where: the page, for the message, e.g. ``"page 3"``.

    Raises:
        ImageTooLarge: names the numbers and the key of the first limit that is broken.
    """
    check_pixels(width, height, limits, where=where)
    longer = max(width, height)
    if longer > limits.max_side_pixels:
        raise ImageTooLarge(
            f"{where}: longer side ({width} x {height})",
            longer,
            limits.max_side_pixels,
            "limits.max_side_pixels",
        )
    check_shape(width, height, limits, where=where)


def check_shape(width: int, height: int, limits: LimitSettings, *, where: str) -> None:
    """Refuse a page that is too thin, at whatever size.

    Raises:
        ImageTooLarge: with the ratio of its sides.
    """
    longer, shorter = max(width, height), min(width, height)
    if longer > shorter * limits.max_aspect_ratio:
        raise ImageTooLarge(
            f"{where}: longer side / shorter side ({width} x {height})",
            longer / shorter,
            limits.max_aspect_ratio,
            "limits.max_aspect_ratio",
        )
