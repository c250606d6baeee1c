"""Documents that are nearly sound: real ones with some bytes changed, moved, cut or repeated."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from tests import documents

Change = Callable[[bytes], bytes]

SEEDS: dict[str, bytes] = {
    **{kind: documents.picture(kind, 40, 30) for kind in ("png", "jpeg", "webp", "bmp", "gif")},
    "tiff": documents.tiff([(30, 20), (20, 10)]),
    "pdf": documents.text_pdf(["one", "two"]),
}


def _at(data: bytes, place: float) -> int:
    return min(int(place * len(data)), max(len(data) - 1, 0))


def _overwrite(place: float, new: bytes) -> Change:
    def change(data: bytes) -> bytes:
        at = _at(data, place)
        return data[:at] + new + data[at + len(new) :]

    return change


def _insert(place: float, new: bytes) -> Change:
    return lambda data: data[: _at(data, place)] + new + data[_at(data, place) :]


def _cut(place: float, count: int) -> Change:
    return lambda data: data[: _at(data, place)] + data[_at(data, place) + count :]


def _repeat(place: float, count: int) -> Change:
    def change(data: bytes) -> bytes:
        at = _at(data, place)
        return data[:at] + data[at : at + count] * 2 + data[at + count :]

    return change


_PLACES = st.floats(0, 1) | st.floats(0, 0.05)  # headers are where it gets interesting
_NUMBERS = st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
_BYTES = st.binary(min_size=1, max_size=8) | _NUMBERS
_CHANGES = st.one_of(
    st.builds(_overwrite, _PLACES, _BYTES),
    st.builds(_insert, _PLACES, _BYTES),
    st.builds(_cut, _PLACES, st.integers(1, 400)),
    st.builds(_repeat, _PLACES, st.integers(1, 400)),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A seed after one to four changes."""
    data = SEEDS[draw(st.sampled_from(sorted(SEEDS)))]
    for change in draw(st.lists(_CHANGES, min_size=1, max_size=4)):
        data = change(data)
    return data
