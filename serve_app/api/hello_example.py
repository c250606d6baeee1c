"""A picture that says something, and what is read in it: the examples of /docs are about it."""

from __future__ import annotations

from typing import Any

# A PNG of 150 x 40 pixels that says "Hello 42".
HELLO_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAJYAAAAoAQAAAAA0uj5KAAAArUlEQVR42u2SsQ3CMBBFnx0EHgKJBRgi4zAFWIgBGA"
    "FGYIPQUSIGQCBRUkUpEoRtCifhkixAwVVfz/++76RTgX45zbD+rGHntMuKYKPcHYe99lo/jloU2EufgU3vD/ckVPhV"
    "h3n82jqVCaYNQElomdMlOJVpSBuW+KgKvBV5BuDGW+RFp6Ea7HFY5Ig9XiQhXc0e069vXEZ9knl5cVla2MqZ56gJhH"
    "s9n/rx+/sAmXQ06OifNK8AAAAASUVORK5CYII="
)
HELLO_LINE = {
    "model_settings": {"use_doc_preprocessor": False, "use_textline_orientation": False},
    "dt_polys": [[[7, 12], [101, 12], [101, 36], [7, 36]]],
    "text_det_params": {
        "limit_side_len": 64,
        "limit_type": "min",
        "thresh": 0.3,
        "max_side_limit": 4000,
        "box_thresh": 0.6,
        "unclip_ratio": 1.5,
    },
    "text_type": "general",
    "textline_orientation_angles": [-1],
    "text_rec_score_thresh": 0.0,
    "return_word_box": False,
    "rec_texts": ["Hello 42"],
    "rec_scores": [0.9998],
    "rec_polys": [[[7, 12], [101, 12], [101, 36], [7, 36]]],
    "rec_boxes": [[7, 12, 101, 36]],
}
HELLO_BLOCK: dict[str, Any] = {
    "page_count": None,
    "width": 150,
    "height": 40,
    "model_settings": {"use_table_recognition": True, "use_formula_recognition": False},
    "parsing_res_list": [
        {
            "block_label": "text",
            "block_content": "Hello 42",
            "block_bbox": [8, 13, 100, 35],
            "block_id": 0,
            "block_order": 1,
        }
    ],
    "layout_det_res": {"boxes": []},
    "overall_ocr_res": HELLO_LINE,
}
HELLO_DATA_INFO = {"width": 150, "height": 40, "type": "image"}
_TEXT_LINE = {"text": "Hello 42", "box": [8.0, 13.0, 100.0, 35.0], "score": 0.9998, "source": "ocr"}
_BLOCK = {
    "label": "text",
    "box": [8.0, 13.0, 100.0, 35.0],
    "lines": [0],
    "level": 0,
    "recovered": False,
    "score": None,
}
HELLO_DOCUMENT = {
    "document": {"type": "image", "pages": 1},
    "pages": [
        {
            "page": 1,
            "width": 150,
            "height": 40,
            "dpi": None,
            "scale": 1.0,
            "text": ["Hello 42"],
            "lines": [_TEXT_LINE],
            "blocks": [_BLOCK],
            "markdown": "Hello 42",
            "furniture": [],
            "text_layer": {"used": "auto", "lines": 0, "of": 1, "distrusted": [], "missing": []},
            "result": HELLO_BLOCK,
        }
    ],
    "notices": [],
}
