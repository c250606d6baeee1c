from __future__ import annotations

from pathlib import Path

from serve_app.recognised import RECOGNISED, Recognised, recognised_by
from serve_app.settings import ModelSettings, WeightsSettings


def test_a_model_reads_what_its_recogniser_knows() -> None:
    assert recognised_by(ModelSettings(pipeline="OCR")) == RECOGNISED["PP-OCRv6_small_rec"]
    older = ModelSettings(pipeline="OCR", modules={"TextRecognition": "PP-OCRv4_mobile_rec"})
    assert recognised_by(older).languages == ("zh", "en")


def test_of_other_weights_nothing_is_said() -> None:
    elsewhere = WeightsSettings(
        source="directory", directory=Path("/models"), hashes_file=Path("/hashes")
    )
    assert recognised_by(ModelSettings(pipeline="OCR", weights=elsewhere)) == Recognised()
    assert recognised_by(ModelSettings(pipeline="OCR", weights=WeightsSettings(source="hub"))) == (
        Recognised()
    )
