from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from serve_app.api.api_keys import ApiKeysError, KeySource, find, new_key, parse_keys
from serve_app.settings import AuthSettings


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def entry(name: str, digest: str) -> str:
    return f"- {{name: {name}, sha256: '{digest}'}}\n"


A, B = "a" * 64, "b" * 64


def test_a_new_key_is_found_by_its_hash_and_nothing_else() -> None:
    key, made = new_key("alice", "operator")
    other, _ = new_key("bob", "client")
    assert find((made,), key) == made
    assert find((made,), other) is None
    assert find((made,), made.sha256) is None
    assert key not in repr(made)
    assert len(key) > 40


def test_keys_with_strange_characters_are_unknown() -> None:
    _, made = new_key("alice", "client")
    assert find((made,), "\udcff € \x00") is None


def test_a_list_may_be_json() -> None:
    (key,) = parse_keys(f'[{{"name": "a", "sha256": "{A}", "role": "operator"}}]', "x")
    assert (key.name, key.role, key.requests_per_minute) == ("a", "operator", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "x: not YAML, line 1"),
        ("- {name: a}", "x: 0.sha256: Field required"),
        (entry("a", "secret"), "x: 0.sha256: "),
        (f"- {{name: a b, sha256: '{A}'}}", "x: 0.name: "),
        (f"- {{name: a, sha256: '{A}', rol: operator}}", "x: 0.rol: Extra inputs"),
        (f"- {{name: a, sha256: '{A}', requests_per_minute: 0}}", "x: 0.requests_per_minute: "),
        (entry("a", A) + entry("a", B), "x: two entries have the same name"),
        (entry("a", A) + entry("b", A), "x: two entries have the same sha256"),
    ],
)
def test_a_bad_list_is_refused_by_the_place_and_never_quoted(text: str, message: str) -> None:
    with pytest.raises(ApiKeysError) as caught:
        parse_keys(text, "x")
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


def test_keys_come_from_the_variable_without_a_file() -> None:
    source = KeySource(AuthSettings(keys_env="KEYS"), {"KEYS": entry("a", A)})
    assert [key.name for key in source.current()] == ["a"]


def test_no_keys_at_all_is_an_error_that_names_both_places() -> None:
    with pytest.raises(ApiKeysError, match=r"auth\.keys_file.*\$KEYS"):
        KeySource(AuthSettings(keys_env="KEYS"), {})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApiKeysError, match="No such file"):
        KeySource(AuthSettings(keys_file=tmp_path / "none"), {})


def test_a_changed_file_is_read_again_after_a_second(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys", Clock()
    file.write_text(entry("a", A))
    source = KeySource(AuthSettings(keys_file=file), {}, clock)
    file.write_text(entry("a", A) + entry("b", B))
    clock.now_s = 0.9
    assert [key.name for key in source.current()] == ["a"]
    clock.now_s = 1.0
    assert [key.name for key in source.current()] == ["a", "b"]


def test_a_link_that_is_moved_counts_as_a_change(tmp_path: Path) -> None:
    """As Kubernetes does with a mounted secret."""
    for name, digest in (("one", A), ("two", B)):
        (tmp_path / name).write_text(entry(name, digest))
        os.utime(tmp_path / name, (1, 1))
    link, clock = tmp_path / "keys", Clock()
    link.symlink_to("one")
    source = KeySource(AuthSettings(keys_file=link), {}, clock)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(link)
    clock.now_s = 5
    assert [key.name for key in source.current()] == ["two"]


@pytest.mark.parametrize("broken", ["- {", None])
def test_a_file_that_breaks_later_leaves_the_keys_valid_and_is_logged_once(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "keys", Clock()
    file.write_text(entry("a", A))
    source = KeySource(AuthSettings(keys_file=file), {}, clock)
    file.write_text(broken) if broken else file.unlink()
    with caplog.at_level(logging.INFO, "ocr_serve.auth"):
        for second in (2, 4, 6):
            clock.now_s = second
            assert [key.name for key in source.current()] == ["a"]
    assert len(caplog.records) == 1
    assert caplog.records[0].levelname == "ERROR"
    file.write_text(entry("c", B))
    clock.now_s = 8
    assert [key.name for key in source.current()] == ["c"]


@pytest.mark.parametrize("text", ["[]", "", "# nobody\n", "null"])
def test_a_list_without_keys_has_none(text: str) -> None:
    assert parse_keys(text, "x") == ()


@pytest.mark.parametrize("text", ["[]", "# nobody\n"])
def test_a_server_does_not_start_with_a_list_without_keys(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ApiKeysError, match=r"no API keys: the list in .*keys is empty"):
        KeySource(AuthSettings(keys_file=file), {})
    with pytest.raises(ApiKeysError, match=r"no API keys: the list in \$KEYS is empty"):
        KeySource(AuthSettings(keys_env="KEYS"), {"KEYS": text})


@pytest.mark.parametrize("text", ["[]", "", "# nobody\n"])
def test_a_list_that_becomes_empty_revokes_the_last_key(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "keys", Clock()
    file.write_text(entry("a", A))
    source = KeySource(AuthSettings(keys_file=file), {}, clock)
    file.write_text(text)
    clock.now_s = 2
    with caplog.at_level(logging.INFO, "ocr_serve.auth"):
        assert source.current() == ()
    assert not source.broken
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_each_look_at_the_list_tells_whether_it_is_broken(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys", Clock()
    looks: list[tuple[float, bool]] = []
    file.write_text(entry("a", A))

    def looked(broken: bool) -> None:
        looks.append((clock.now_s, broken))

    source = KeySource(AuthSettings(keys_file=file), {}, clock, looked)
    file.write_text("- {")
    for second in (2, 2.5, 4):
        clock.now_s = second
        source.current()
    assert (looks, source.broken) == ([(2, True), (4, True)], True)
    file.write_text(entry("c", B))
    clock.now_s = 6
    source.current()
    assert (looks[2:], source.broken) == ([(6, False)], False)
