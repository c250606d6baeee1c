"""What our OpenAPI description shows of requests and answers; how answers are compared to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema

Json = Any
METHODS = ("get", "post", "put", "delete")
# What an example leaves out.
ELLIPSIS = "…"
# Objects whose members have names of their own: ids.
KEYED = frozenset({"open_entries"})


@dataclass(frozen=True)
class Body:
    """One way to send a request: its type, its schema, and an example if it has one."""

    media_type: str
    schema: Mapping[str, Json] = field(default_factory=dict)
    example: Json = None


@dataclass(frozen=True)
class Operation:
    """A route with one method."""

    method: str
    path: str
    facts: Mapping[str, Json]

    @property
    def name(self) -> str:
        """Unique."""
        return str(self.facts["operationId"])

    def bodies(self) -> Iterator[Body]:
        """Every way to send it: each example of each type; no body is one, too."""
        if "requestBody" not in self.facts:
            yield Body("")
            return
        for media_type, content in self.facts["requestBody"]["content"].items():
            examples = content.get("examples", {})
            for example in examples.values():
                yield Body(media_type, content["schema"], example["value"])
            if not examples:
                yield Body(media_type, content["schema"])

    def answers(self) -> Mapping[str, Mapping[str, Json]]:
        """Statuses of answers that are no errors, and their contents by type."""
        return {
            status: contents_of(answer)
            for status, answer in self.facts["responses"].items()
            if status.startswith("2")
        }

    def parameters(self, place: str) -> dict[str, Json]:
        """Of the query those that must be given, by their examples; headers that have one."""
        return {
            one["name"]: one["example"]
            for one in self.facts.get("parameters", [])
            if one["in"] == place
            and (one.get("required") or (place == "header" and "example" in one))
        }


def contents_of(answer: Mapping[str, Json]) -> dict[str, Json]:
    """By type; FastAPI adds one that says nothing where an answer is not JSON."""
    return {kind: one for kind, one in answer.get("content", {}).items() if one}


def operations(spec: Mapping[str, Json]) -> list[Operation]:
    """All that are described."""
    return [
        Operation(method.upper(), path, facts)
        for path, methods in spec["paths"].items()
        for method, facts in methods.items()
        if method in METHODS
    ]


def schema_errors(spec: Mapping[str, Json], schema: Mapping[str, Json], value: Json) -> list[str]:
    """What of the value is not as the schema says."""
    whole = {**schema, "components": spec["components"]}
    validator = jsonschema.Draft202012Validator(whole)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def differences(example: Json, answer: Json, at: str = "$") -> Iterator[str]:
    """Where the shape of an answer is not that of the example: members and types.

    What may be absent is for the schema to say: an answer may have more than the example where
    the schema has it. Null is of every type.
    """
    if example is None or answer is None:
        return
    if kind_of(example) != kind_of(answer):
        yield f"{at} is {kind_of(answer)}, in the example {kind_of(example)}"
    elif isinstance(example, dict) and at.rsplit(".", 1)[-1] in KEYED:
        yield from differences(list(example.values()), list(answer.values()), at)
    elif isinstance(example, dict):
        for name, value in example.items():
            if name not in answer:
                yield f"{at}.{name} is in the example only"
            else:
                yield from differences(value, answer[name], f"{at}.{name}")
    elif isinstance(example, list) and example:
        if not answer:
            yield f"{at} is empty, and not in the example"
        # Each shows one that is there; which comes first depends on what was asked before.
        for number, value in enumerate(example):
            found = [list(differences(value, one, f"{at}[{number}]")) for one in answer]
            yield from min(found, key=len, default=[])


def kind_of(value: Json) -> str:
    """Its JSON type; whole and broken numbers are one."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def text_differs(example: str, answer: str) -> str | None:
    """Which piece of the example, which may leave things out, the answer does not have."""
    at = 0
    for piece in example.split(ELLIPSIS):
        found = answer.find(piece, at)
        if found < 0:
            return piece
        at = found + len(piece)
    return None
