"""Unknown keys of a nested mapping, against the pydantic models that it is read into.

Serve's models ignore keys that they do not know, at every level, and some of their fields are
typed ``dict | Model``, which pydantic then does not check at all. Both are found here by walking
models and value side by side. Not covered: values, which are pydantic's business.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel

FreeForm = Mapping[str, frozenset[str]]
# Keys of mappings and indices of lists, from the outside in.
Location = tuple[Any, ...]


def dotted(location: Location) -> str:
    """A location as a person writes it: ``applications[0].args``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def hint(key: object, known: Iterable[str]) -> str:
    """``, did you mean 'engine'?``, or nothing if no valid name is near."""
    near = difflib.get_close_matches(str(key), sorted(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


@dataclass
class KeyWalk:
    """One walk over a value.

    ``free_form`` names the valid keys of fields that are a plain ``dict`` in the models.
    ``unknown`` is (location, message) of what was found; ``loose`` the (model, value, location)
    of mappings that pydantic does not check against that model.
    """

    free_form: FreeForm = field(default_factory=dict)
    unknown: list[tuple[Location, str]] = field(default_factory=list)
    loose: list[tuple[type[BaseModel], Any, Location]] = field(default_factory=list)

    def model(self, model: type[BaseModel], value: object, at: Location) -> None:
        """Walk a mapping that is read into ``model``."""
        if not isinstance(value, Mapping):
            return
        self._keys(value, frozenset(model.model_fields), at)
        for key, item in value.items():
            if known := model.model_fields.get(str(key)):
                self._field(known.annotation, item, (*at, key))

    def _field(self, annotation: Any, value: object, at: Location) -> None:
        if at[-1] in self.free_form and isinstance(value, Mapping):
            self._keys(value, self.free_form[at[-1]], at)
        self._value(annotation, value, at)

    def _keys(self, value: Mapping[Any, Any], known: frozenset[str], at: Location) -> None:
        for key in value:
            if key not in known:
                self.unknown.append(((*at, key), f"unknown key{hint(key, known)}"))

    def _value(self, annotation: Any, value: object, at: Location) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            self.model(annotation, value, at)
            return
        origin, parts = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            self._value(parts[0], value, at)
        elif origin in (Union, types.UnionType):
            self._union(parts, value, at)
        elif isinstance(value, Mapping) and len(parts) == 2:
            for key, item in value.items():
                self._value(parts[1], item, (*at, key))
        elif isinstance(value, Sequence) and not isinstance(value, str) and parts:
            for index, item in enumerate(value):
                self._value(parts[0], item, (*at, index))

    def _union(self, parts: tuple[Any, ...], value: object, at: Location) -> None:
        accepts_any_mapping = any(dict in (part, get_origin(part)) for part in parts)
        for part in parts:
            self._value(part, value, at)
            is_model = isinstance(part, type) and issubclass(part, BaseModel)
            if is_model and accepts_any_mapping and isinstance(value, Mapping):
                self.loose.append((part, value, at))


def keys_of(value: Any, loc: Sequence[int | str]) -> Iterator[int | str]:
    """The location of a pydantic error, without what pydantic mixes in for unions and keys."""
    for position, part in enumerate(loc, start=1):
        if isinstance(value, Mapping | list):
            try:
                value = cast(Any, value)[part]
            except (KeyError, TypeError):
                # Not in the value: a missing key, if it comes last.
                if position < len(loc) or part == "[key]":
                    continue
            yield part
