"""The channel between a parent and its child, and page results on it: round trips and garbage."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.child import channel
from serve_app.document import Block, DistrustedText, Line, Markdown, PageResult, TextLayerUse
from serve_app.page_codec import decode_result, encode_result


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connected pair; afterwards no descriptor may be left open."""
    before = open_descriptors()
    ours, theirs = channel.socket_pair()
    with ours, theirs:
        yield ours, theirs
    assert open_descriptors() == before


# ---- Messages --------------------------------------------------------------------------------


def test_a_header_and_its_parts_arrive_as_one_message(ends: Ends) -> None:
    ours, theirs = ends
    parts: list[channel.Buffer] = [b"ab", bytearray(b"cd"), memoryview(array.array("H", [1, 2]))]
    channel.send(ours, {"op": "job", "id": 7, "text": "é\ud800"}, parts)
    header, payload = channel.receive(theirs)
    assert header == {"op": "job", "id": 7, "text": "é\ud800"}
    assert payload == b"abcd" + struct.pack("=2H", 1, 2)


def test_a_message_without_parts_has_an_empty_payload(ends: Ends) -> None:
    ours, theirs = ends
    channel.send(ours, {"op": "exit"})
    assert channel.receive(theirs) == ({"op": "exit"}, b"")


def test_messages_keep_their_borders(ends: Ends) -> None:
    ours, theirs = ends
    for number in range(5):
        channel.send(ours, {"id": number}, [bytes(number)])
    assert [channel.receive(theirs)[0]["id"] for _ in range(5)] == list(range(5))


def test_a_payload_larger_than_a_sockets_buffer_goes_through_at_once(ends: Ends) -> None:
    ours, theirs = ends
    payload = os.urandom(4 * 2**20)
    channel.send(ours, {}, [payload])
    assert channel.receive(theirs) == ({}, payload)


def test_a_header_that_is_too_large_is_not_sent(ends: Ends) -> None:
    ours, theirs = ends
    with pytest.raises(ValueError, match=str(channel.MAX_HEADER_BYTES)):
        channel.send(ours, {"text": "x" * channel.MAX_HEADER_BYTES})
    theirs.setblocking(False)
    with pytest.raises(BlockingIOError):
        channel.receive(theirs)


def test_an_end_that_was_closed_meanwhile_is_closed() -> None:
    """By who has seen the other side go, while a thread was about to send."""
    ours, theirs = channel.socket_pair()
    ours.close()
    theirs.close()
    with pytest.raises(channel.ChannelClosed):
        channel.send(ours, {"op": "job"}, [b"a page"])


def test_a_side_that_is_gone_closes_the_channel_for_the_other(ends: Ends) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(channel.ChannelClosed):
        channel.send(ours, {"op": "exit"}, [b"x"])
    with pytest.raises(channel.ChannelClosed):
        channel.receive(ours)


# ---- Garbage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"not json",
        b"\xff\xfe\xff",
        b'{"op":',
        b"[1,2]",
        b'"text"',
        b"null",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"9" * 60_000,
    ],
)
def test_a_header_that_is_no_object_is_garbage(ends: Ends, data: bytes) -> None:
    ours, theirs = ends
    ours.send(data)
    with pytest.raises(channel.ChannelGarbage):
        channel.receive(theirs)


@given(data=st.binary(min_size=1, max_size=200))
def test_no_bytes_give_anything_but_a_message_or_garbage(data: bytes) -> None:
    ours, theirs = channel.socket_pair()
    with ours, theirs:
        ours.send(data)
        with contextlib.suppress(channel.ChannelGarbage):
            header, payload = channel.receive(theirs)
            assert isinstance(header, dict)
            assert payload == b""


def test_a_message_that_is_too_long_is_garbage(ends: Ends) -> None:
    ours, theirs = ends
    ours.send(b'{"text":"' + b"x" * channel.MAX_HEADER_BYTES + b'"}')
    with pytest.raises(channel.ChannelGarbage, match="oversized"):
        channel.receive(theirs)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_more_than_one_descriptor_is_garbage_and_none_stays_open(ends: Ends, count: int) -> None:
    ours, theirs = ends
    with memory_file(b"x") as fd:
        send_descriptors(ours, [fd] * count)
    with pytest.raises(channel.ChannelGarbage):
        channel.receive(theirs)


def test_a_descriptor_that_is_no_memory_file_is_garbage(ends: Ends) -> None:
    ours, theirs = ends
    reading, writing = os.pipe()
    send_descriptors(ours, [reading])
    os.close(reading)
    os.close(writing)
    with pytest.raises(channel.ChannelGarbage, match="not a memory file"):
        channel.receive(theirs)


def test_a_payload_beyond_the_limit_is_garbage_and_never_read(ends: Ends) -> None:
    ours, theirs = ends
    with memory_file(b"") as fd:
        os.ftruncate(fd, channel.MAX_PAYLOAD_BYTES + 1)  # sparse: it takes no memory
        send_descriptors(ours, [fd])
    with pytest.raises(channel.ChannelGarbage, match="at most"):
        channel.receive(theirs)


# ---- Page results ----------------------------------------------------------------------------

names = st.text(max_size=8)
blobs = st.dictionaries(names, st.binary(max_size=40), max_size=3)
lines = st.lists(st.text(max_size=12), max_size=4).map(tuple)
markdowns = st.builds(Markdown, st.text(max_size=40), blobs, st.booleans(), st.booleans())
numbers = st.floats(0, 20_000, allow_nan=False)
boxes = st.tuples(numbers, numbers, numbers, numbers)
placed_lines = st.builds(
    Line, st.text(max_size=12), boxes, st.floats(0, 1), st.sampled_from(["ocr", "layer"])
)
blocks = st.builds(
    Block,
    label=st.text(max_size=9),
    box=boxes,
    lines=st.lists(st.integers(0, 99), max_size=4).map(tuple),
    text=st.text(max_size=12),
    level=st.integers(0, 6),
    image=st.none() | st.text(max_size=9),
    recovered=st.booleans(),
    score=st.none() | st.floats(0, 1),
)
layer_uses = st.builds(
    TextLayerUse,
    used=st.sampled_from(["auto", "only"]),
    lines=st.integers(0, 999),
    of=st.integers(0, 999),
    distrusted=st.lists(
        st.builds(DistrustedText, font=st.none() | names, why=names), max_size=2
    ).map(tuple),
    missing=lines,
)
results = st.builds(
    PageResult,
    index=st.integers(0, 10_000),
    width=st.integers(1, 100_000),
    height=st.integers(1, 100_000),
    pruned_json=st.binary(max_size=60),
    text=lines,
    markdown=st.none() | markdowns,
    images=blobs,
    exports=blobs,
    notices=lines,
    lines=st.lists(placed_lines, max_size=3).map(tuple),
    blocks=st.lists(blocks, max_size=3).map(tuple),
    text_layer=st.none() | layer_uses,
    angle=st.sampled_from([0, 90, 180, 270]),
)


@given(result=results)
def test_a_page_result_survives_the_way(result: PageResult) -> None:
    assert decode_result(b"".join(encode_result(result))) == result


@given(result=results, data=st.data())
def test_a_result_that_is_cut_off_is_a_value_error(result: PageResult, data: st.DataObject) -> None:
    whole = b"".join(encode_result(result))
    end = data.draw(st.integers(0, len(whole) - 1))
    assert is_refused(whole[:end])


@given(payload=st.binary(max_size=200))
def test_random_bytes_are_a_value_error(payload: bytes) -> None:
    assert is_refused(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
members = (
    *("index", "width", "height", "pruned", "text", "notices", "images", "exports", "markdown"),
    *("lines", "blocks"),
)


@given(head=json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(members, json_values)))
def test_a_wrong_table_of_contents_gives_a_result_or_a_value_error(head: object) -> None:
    with contextlib.suppress(ValueError):
        decode_result(with_head(json.dumps(head).encode(), b"blobs"))


def test_a_table_of_contents_nested_without_end_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a page result"):
        decode_result(with_head(b"[" * 100_000, b""))


def test_a_part_of_negative_length_is_a_value_error() -> None:
    head = {"index": 0, "width": 1, "height": 1, "text": [], "notices": [], "exports": []}
    head |= {"pruned": 3, "images": [["a", -3]]}
    with pytest.raises(ValueError, match="cut off"):
        decode_result(with_head(json.dumps(head).encode(), b"{ }"))


# ---- Helpers ---------------------------------------------------------------------------------

Ends = tuple[socket.socket, socket.socket]


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def memory_file(content: bytes) -> Iterator[int]:
    fd = os.memfd_create("test")
    try:
        os.write(fd, content)
        yield fd
    finally:
        os.close(fd)


def send_descriptors(sock: socket.socket, fds: Sequence[int]) -> None:
    rights = array.array("i", fds)
    sock.sendmsg([b"{}"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def with_head(head: bytes, blobs: bytes) -> bytes:
    return struct.pack("<I", len(head)) + head + blobs


def is_refused(payload: bytes) -> bool:
    try:
        decode_result(payload)
    except ValueError:
        return True
    return False
