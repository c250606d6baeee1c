"""A real engine loads the weights that were pinned, and no others: of the cache, of a directory."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serve_app.documents.page_frame import encode_page
from serve_app.documents.page_input import PageInput
from serve_app.documents.render import render_page
from serve_app.errors import WeightsError
from serve_app.settings import DocumentSettings, LimitSettings, ModelSettings, PoolSettings
from serve_app.weights import hashes_file, hub_fetch
from serve_app.weights import store as weights
from serve_app.weights.load_check import LoadCheck
from serve_app.weights.manifest import write_manifest
from serve_app.weights.pipeline_config import BUNDLED_MODULES
from serve_app.worker.engine_environment import engine_environment
from serve_app.worker.engine_process import EngineProcess

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DETECTION, RECOGNITION = "PP-OCRv6_small_det", "PP-OCRv6_small_rec"
MODULES = {"TextDetection": DETECTION, "TextRecognition": RECOGNITION}
PAGE = Path(__file__).parents[2] / "examples" / "page.pdf"


@pytest.fixture(scope="module")
def filled() -> dict[str, Path]:
    """The directories of the two models in the real cache."""
    return weights.pull([DETECTION, RECOGNITION])


@pytest.fixture
def cache(tmp_path: Path, filled: dict[str, Path]) -> Path:
    """A cache with copies of the two models, to be changed at will."""
    for name, directory in filled.items():
        shutil.copytree(directory, tmp_path / "weights" / name / directory.name)
    return tmp_path


async def engine_of(**settings: Any) -> EngineProcess:
    model = ModelSettings(pipeline="OCR", stages=(), modules=MODULES, **settings)
    spec = {
        "model": model.model_dump(mode="json"),
        "limits": LimitSettings().model_dump(),
        "documents": DocumentSettings().model_dump(),
        "device": "cpu",
    }
    env = engine_environment(PoolSettings(device="cpu"), model, None, 2**40)
    engine = EngineProcess("ocr", spec, env=env)
    await engine.start(timeout_s=120)
    return engine


async def text_of_the_page(engine: EngineProcess) -> str:
    job = {"kind": "pdf", "index": 0, "options": {"predict": {}}}
    pixels = render_page(PAGE.read_bytes(), "pdf", 0, LimitSettings(), DocumentSettings())
    frame = b"".join(bytes(part) for part in encode_page(PageInput(pixels)))
    prediction = await engine.predict(job, frame, timeout_s=120)
    return "\n".join(prediction.result.text)


def of_the_same_length(directory: Path) -> None:
    with (directory / "inference.onnx").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))


def with_a_manifest_to_fit(directory: Path) -> None:
    of_the_same_length(directory)
    (directory / "manifest.json").unlink()
    write_manifest(directory, DETECTION, directory.name, "rapidocr==3.10.0")


async def test_the_cache_as_it_was_pulled_is_loaded(cache: Path) -> None:
    engine = await engine_of(weights={"source": "bundled", "cache_dir": str(cache)})
    assert "A page to try" in await text_of_the_page(engine)
    await engine.stop()


@pytest.mark.parametrize("change", [of_the_same_length, with_a_manifest_to_fit])
async def test_a_changed_network_of_the_same_length_is_not_loaded(
    cache: Path, filled: dict[str, Path], change: Callable[[Path], None]
) -> None:
    directory = cache / "weights" / DETECTION / filled[DETECTION].name
    change(directory)
    with pytest.raises(WeightsError) as caught:
        await engine_of(weights={"source": "bundled", "cache_dir": str(cache)})
    said = str(caught.value)
    assert f"{DETECTION} are not those that were pinned: inference.onnx has another" in said
    assert "`ocr-serve weights pull" in said
    assert str(cache) not in said


async def test_missing_weights_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="are not there; fetch them with"):
        await engine_of(weights={"source": "bundled", "cache_dir": str(tmp_path)})


@pytest.fixture
def pinned(tmp_path: Path, filled: dict[str, Path]) -> dict[str, Any]:
    """Settings of a directory with real models, which came from "a hub" and were then pinned."""
    folder, hashes = tmp_path / "models", tmp_path / "weights.sha256"
    hub_fetch.fetch(MODULES.values(), folder, None, lambda name: filled[name])
    lines = hashes_file.lines_of(folder, hashes_file.models_in(folder))
    hashes.write_text("\n".join(lines) + "\n")
    return {"source": "directory", "directory": str(folder), "hashes_file": str(hashes)}


async def test_a_pinned_directory_is_loaded(pinned: dict[str, Any]) -> None:
    engine = await engine_of(weights=pinned)
    assert "A page to try" in await text_of_the_page(engine)
    await engine.stop()


async def test_a_changed_directory_is_not_loaded(pinned: dict[str, Any]) -> None:
    of_the_same_length(Path(pinned["directory"]) / RECOGNITION)
    with pytest.raises(WeightsError, match=r"inference\.onnx has another SHA-256"):
        await engine_of(weights=pinned)


async def test_another_format_beside_the_pinned_one_is_not_loaded(pinned: dict[str, Any]) -> None:
    (Path(pinned["directory"]) / DETECTION / "inference.pdmodel").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"inference\.pdmodel is not one of the model's files"):
        await engine_of(weights=pinned)


def forget(name: str, hashes: Path) -> None:
    kept = [line for line in hashes.read_text().splitlines() if name not in line]
    hashes.write_text("\n".join(kept))


async def test_a_model_that_is_not_pinned_is_not_loaded(pinned: dict[str, Any]) -> None:
    forget(RECOGNITION, Path(pinned["hashes_file"]))
    with pytest.raises(WeightsError, match=f"no file of {RECOGNITION} is pinned"):
        await engine_of(weights=pinned)


def test_the_models_of_a_configuration_are_those_that_its_pipelines_load() -> None:
    official = {"source": "directory", "directory": "/m", "hashes_file": "/h"}
    settings = [
        ModelSettings.model_validate({"pipeline": "OCR", "stages": [], "weights": official}),
        ModelSettings.model_validate(
            {"pipeline": "OCR", "stages": [], "weights": official, "modules": MODULES}
        ),
        ModelSettings.model_validate({"pipeline": "PP-StructureV3"}),  # bundled: nothing to fetch
    ]
    names = hub_fetch.models_of(settings)
    assert len(names) == 4
    assert names[2:] == [DETECTION, RECOGNITION]


def test_all_of_structures_weights_are_hashed_in_a_part_of_a_load() -> None:
    """A load takes seconds. Generous: other work may have both cores."""
    names = set(BUNDLED_MODULES.values())
    directories = weights.pull(names)
    check, started = LoadCheck(), time.perf_counter()
    for name, directory in directories.items():
        pins = weights.bundled_pins(name)
        check.check(name, directory, pins, "", ignored=weights.NOT_LOADED)
    check.assert_unchanged()
    took_s = time.perf_counter() - started
    total = sum(file.stat().st_size for one in directories.values() for file in one.iterdir())
    print(f"{total / 1e6:.0f} MB in {took_s * 1000:.0f} ms")
    assert took_s < 2
