"""What the values of pipeline options may be: the one table of types and bounds.

Types are those of PaddleX's request schemas (paddlex 3.7.2, ``inference/serving/schemas``), so that
a value of a wrong type is refused in PaddleX's words; the bounds are ours, for PaddleX has none and
hands any number on to OpenCV. Used for requests of both protocols and for ``models.*.options``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import AfterValidator, Field, WithJsonSchema

T = TypeVar("T")
LimitType = Literal["min", "max", "resize_long"]
MergeMode = Literal["large", "small", "union"]

# Pixels. Detection shrinks to 4,000 at most anyway (max_side_limit of PaddleX's pipelines); a
# larger value is a way to say "as it is".
MAX_SIDE_LEN = 16_000
# Times the distance by which detected areas grow. At 10 a line of text reaches over eleven others,
# and its crop holds all of them.
MAX_UNCLIP_RATIO = 10.0
# A layout box may shrink to half and grow to five times its size.
MIN_LAYOUT_RATIO, MAX_LAYOUT_RATIO = 0.5, 5.0
# Layout models have tens of classes.
MAX_CLASS = 999

_SHARE_SCHEMA = {"type": "number", "minimum": 0, "maximum": 1}
_RATIO_SCHEMA = {"type": "number", "minimum": MIN_LAYOUT_RATIO, "maximum": MAX_LAYOUT_RATIO}
_RATIO_PAIR_SCHEMA = {"type": "array", "items": _RATIO_SCHEMA, "minItems": 2, "maxItems": 2}


def _by_class(value: Any, one: Callable[[Any], T]) -> dict[int, T]:
    """A mapping by class number, which in JSON can only be a string."""
    found = {}
    for key, item in value.items():
        if not (str(key).isascii() and str(key).isdigit() and int(key) <= MAX_CLASS):
            raise ValueError(
                f"its keys must be class numbers from 0 to {MAX_CLASS}, not {str(key)[:20]!r}"
            )
        found[int(key)] = one(item)
    return found


def _between(low: float, high: float) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"it must be a number from {low:g} to {high:g}")  # noqa: TRY004
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"it must be from {low:g} to {high:g}")
        return float(value)

    return check


_share, _ratio = _between(0, 1), _between(MIN_LAYOUT_RATIO, MAX_LAYOUT_RATIO)


def _ratio_pair(value: Any) -> tuple[float, float]:
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return _ratio(value[0]), _ratio(value[1])
    ratio = _ratio(value)
    return ratio, ratio


def _one_of(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"it must be one of {', '.join(allowed)}")
        return str(value)

    return check


_merge_mode = _one_of(get_args(MergeMode))


def _layout_threshold(value: Any) -> float | dict[int, float]:
    return _by_class(value, _share) if isinstance(value, dict) else _share(value)


def _layout_unclip_ratio(value: Any) -> tuple[float, float] | dict[int, tuple[float, float]]:
    return _by_class(value, _ratio_pair) if isinstance(value, dict) else _ratio_pair(value)


def _layout_merge_mode(value: Any) -> str | dict[int, str]:
    return _by_class(value, _merge_mode) if isinstance(value, dict) else _merge_mode(value)


def _or_by_class(*alternatives: Mapping[str, Any], by_class: Mapping[str, Any]) -> WithJsonSchema:
    by_number = {
        "type": "object",
        "additionalProperties": by_class,
        "propertyNames": {"pattern": "^[0-9]{1,3}$"},
    }
    return WithJsonSchema({"anyOf": [*alternatives, by_number]})


SideLen: TypeAlias = Annotated[int, Field(ge=1, le=MAX_SIDE_LEN)]
LimitTypeName: TypeAlias = Annotated[
    str,
    AfterValidator(_one_of(get_args(LimitType))),
    WithJsonSchema({"type": "string", "enum": list(get_args(LimitType))}),
]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
UnclipRatio: TypeAlias = Annotated[float, Field(gt=0, le=MAX_UNCLIP_RATIO)]
LayoutThreshold: TypeAlias = Annotated[
    float | dict[Any, Any],
    AfterValidator(_layout_threshold),
    _or_by_class(_SHARE_SCHEMA, by_class=_SHARE_SCHEMA),
]
LayoutUnclipRatio: TypeAlias = Annotated[
    float | tuple[float, float] | dict[Any, Any],
    AfterValidator(_layout_unclip_ratio),
    _or_by_class(_RATIO_SCHEMA, _RATIO_PAIR_SCHEMA, by_class=_RATIO_PAIR_SCHEMA),
]
LayoutMergeMode: TypeAlias = Annotated[
    str | dict[Any, Any],
    AfterValidator(_layout_merge_mode),
    _or_by_class(
        {"type": "string", "enum": list(get_args(MergeMode))},
        by_class={"type": "string", "enum": list(get_args(MergeMode))},
    ),
]

_DETECTION: Mapping[str, Any] = {
    "limit_side_len": SideLen,
    "limit_type": LimitTypeName,
    "thresh": Share,
    "box_thresh": Share,
    "unclip_ratio": UnclipRatio,
}

#: The type of every predict option that is not a plain switch.
OPTION_TYPES: Mapping[str, Any] = {
    **{f"text_det_{name}": type_ for name, type_ in _DETECTION.items()},
    **{f"seal_det_{name}": type_ for name, type_ in _DETECTION.items()},
    "text_rec_score_thresh": Share,
    "seal_rec_score_thresh": Share,
    "layout_threshold": LayoutThreshold,
    "layout_unclip_ratio": LayoutUnclipRatio,
    "layout_merge_bboxes_mode": LayoutMergeMode,
    "markdown_ignore_labels": list[str],
}
