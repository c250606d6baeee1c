"""A bad value of an option is refused with its name: by both protocols, and at check time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.api.app import build_http_app
from serve_app.config_check import ConfigError, check_args
from serve_app.pipeline_options import PREDICT_OPTIONS, checked_options
from serve_app.testing.service import FakeDocumentService, fake_settings
from tests import documents
from tests.http_client import b64, http_client

PNG = documents.picture("png", 64, 48)

# PaddleX's name, ours, a value that its pipelines end in an exception of OpenCV or NumPy with, or
# in hours of work, and a word of the message.
BAD: list[tuple[str, str, Any, str]] = [
    ("textDetLimitType", "text_det_limit_type", "foo", "min, max, resize_long"),
    ("textDetLimitSideLen", "text_det_limit_side_len", 0, "greater than or equal to 1"),
    ("textDetLimitSideLen", "text_det_limit_side_len", -64, "greater than or equal to 1"),
    ("textDetLimitSideLen", "text_det_limit_side_len", 1_000_000_000, "less than or equal to"),
    ("textDetThresh", "text_det_thresh", 7, "less than or equal to 1"),
    ("textDetThresh", "text_det_thresh", -0.1, "greater than or equal to 0"),
    ("textDetBoxThresh", "text_det_box_thresh", 1.01, "less than or equal to 1"),
    ("textDetUnclipRatio", "text_det_unclip_ratio", 0, "greater than 0"),
    ("textDetUnclipRatio", "text_det_unclip_ratio", -1, "greater than 0"),
    ("textDetUnclipRatio", "text_det_unclip_ratio", 1e6, "less than or equal to 10"),
    ("textRecScoreThresh", "text_rec_score_thresh", 2, "less than or equal to 1"),
    ("sealDetLimitType", "seal_det_limit_type", "maximum", "min, max, resize_long"),
    ("sealDetUnclipRatio", "seal_det_unclip_ratio", -1, "greater than 0"),
    ("sealRecScoreThresh", "seal_rec_score_thresh", -1, "greater than or equal to 0"),
    ("layoutThreshold", "layout_threshold", 1.5, "from 0 to 1"),
    ("layoutThreshold", "layout_threshold", {"0": 1.5}, "from 0 to 1"),
    ("layoutThreshold", "layout_threshold", {"0": "x"}, "a number from 0 to 1"),
    ("layoutThreshold", "layout_threshold", {"0": True}, "a number from 0 to 1"),
    ("layoutThreshold", "layout_threshold", {"text": 0.5}, "class numbers"),
    ("layoutThreshold", "layout_threshold", {"-1": 0.5}, "class numbers"),
    ("layoutUnclipRatio", "layout_unclip_ratio", 0, "from 0.5 to 5"),
    ("layoutUnclipRatio", "layout_unclip_ratio", -1, "from 0.5 to 5"),
    ("layoutUnclipRatio", "layout_unclip_ratio", [1, 0], "from 0.5 to 5"),
    ("layoutUnclipRatio", "layout_unclip_ratio", {"0": [1]}, "a number from"),
    ("layoutUnclipRatio", "layout_unclip_ratio", {"x": [1, 1]}, "class numbers"),
    ("layoutMergeBboxesMode", "layout_merge_bboxes_mode", "largest", "large, small, union"),
    ("layoutMergeBboxesMode", "layout_merge_bboxes_mode", {"0": 1}, "large, small, union"),
]
GOOD: list[tuple[str, Any, Any]] = [
    ("text_det_limit_type", "resize_long", "resize_long"),
    ("text_det_limit_side_len", 960, 960),
    ("text_det_thresh", 1, 1.0),
    ("text_det_unclip_ratio", 2, 2.0),
    ("layout_threshold", 1, 1.0),
    ("layout_threshold", {"0": 0.5, 3: 0}, {0: 0.5, 3: 0.0}),
    ("layout_unclip_ratio", 1.1, (1.1, 1.1)),
    ("layout_unclip_ratio", [1, 1.5], (1.0, 1.5)),
    ("layout_unclip_ratio", {"1": [1, 2], "2": 1.5}, {1: (1.0, 2.0), 2: (1.5, 1.5)}),
    ("layout_merge_bboxes_mode", {"0": "union"}, {0: "union"}),
    ("use_table_recognition", False, False),
    ("text_det_thresh", None, None),
]


@pytest.mark.parametrize(("theirs", "ours", "value", "words"), BAD)
async def test_paddlexs_protocol_names_it(theirs: str, ours: str, value: Any, words: str) -> None:
    service = FakeDocumentService()
    async with http_client(service, fake_settings()) as client:
        answer = await client.post("/layout-parsing", json={"file": b64(PNG), theirs: value})
    assert answer.status_code == 422, answer.text
    (error,) = json.loads(answer.json()["errorMsg"])
    assert error["loc"] == f"body.{theirs}"
    assert words in error["msg"]
    assert not service.calls


@pytest.mark.parametrize(("theirs", "ours", "value", "words"), BAD)
async def test_our_protocol_names_it(theirs: str, ours: str, value: Any, words: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    service = FakeDocumentService()
    async with http_client(service, fake_settings()) as client:
        answer = await client.post("/v1/parse", content=PNG, params={ours: text})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert f"`{ours}`" in error["message"]
    assert words in error["message"]
    assert not service.calls


@pytest.mark.parametrize(("theirs", "ours", "value", "words"), BAD)
def test_the_check_of_a_configuration_names_it(
    theirs: str, ours: str, value: Any, words: str
) -> None:
    model = {"pipeline": "PP-StructureV3", "options": {ours: value}}
    args = {"models": {"one": model}, "pools": {"cpu": {"device": "cpu"}}}
    with pytest.raises(ConfigError) as caught:
        check_args(args)
    assert ours in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "value", "meant"), GOOD)
def test_good_values_become_what_the_pipeline_takes(name: str, value: Any, meant: Any) -> None:
    checked = checked_options("PP-StructureV3", {name: value})
    assert checked == {name: meant}
    assert type(checked[name]) is type(meant)
    assert checked_options("PP-StructureV3", json.loads(json.dumps(checked))) == checked


def test_every_option_has_its_bounds_in_the_api_description() -> None:
    spec = build_http_app(FakeDocumentService(), fake_settings()).openapi()
    body = spec["paths"]["/layout-parsing"]["post"]["requestBody"]["content"]["application/json"]
    query = {p["name"]: p["schema"] for p in spec["paths"]["/v1/parse"]["post"]["parameters"]}
    for theirs, ours in (
        ("textDetThresh", "text_det_thresh"),
        ("textDetUnclipRatio", "text_det_unclip_ratio"),
        ("layoutThreshold", "layout_threshold"),
        ("textDetLimitSideLen", "text_det_limit_side_len"),
    ):
        for schema in (body["schema"]["properties"][theirs], query[ours]):
            assert '"maximum":' in json.dumps(schema), (theirs, schema)
    assert '"enum": ["min", "max", "resize_long"]' in json.dumps(query["text_det_limit_type"])


@given(
    st.sampled_from(sorted(PREDICT_OPTIONS["PP-StructureV3"])),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    ),
)
def test_any_value_is_taken_or_refused_with_the_options_name(name: str, value: Any) -> None:
    checked, refusal = None, None
    try:
        checked = checked_options("PP-StructureV3", {name: value})
    except ValueError as error:
        refusal = str(error)
    if refusal is None:
        assert checked_options("PP-StructureV3", checked or {}) == checked
    else:
        assert refusal.startswith(f"{name}: ")
        assert "\n" not in refusal
