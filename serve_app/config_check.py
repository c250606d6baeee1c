"""Strict checks of a Serve configuration file: Serve's own keys, and our ``args`` in it.

Serve accepts misspelt keys silently, at every level; here each is an error with its full path and
the nearest valid name. Used by ``ocr-serve check``, before a start (launch.py), and by ``build()``
for the arguments alone. Not covered: what only the cluster can know (free GPUs, weights on disk).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from serve_app.config_keys import FreeForm, KeyWalk, Location, dotted, keys_of
from serve_app.settings import AppSettings

BUILDER = "serve_app.app:build"


@dataclass(frozen=True)
class ConfigProblem:
    """One thing to correct. ``path`` is that of the key, empty if it is the whole file."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.message) if part)


class ConfigError(ValueError):
    """The configuration cannot be used. Args: one message per problem."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


def check_file(path: Path) -> list[ConfigProblem]:
    """Everything that is wrong with a Serve configuration file; empty if it can be used."""
    try:
        config, found = _read(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [ConfigProblem(str(path), "", " ".join(str(error).split()))]
    if not isinstance(config, dict):
        return [ConfigProblem(str(path), "", "this is not a mapping of keys to values")]
    found += [*_serve_problems(config), *_application_problems(config)]
    # Once each: what is in a union is reported by every member of it.
    return [ConfigProblem(str(path), dotted(at), message) for at, message in dict.fromkeys(found)]


def check_args(args: Mapping[str, Any]) -> AppSettings:
    """The settings in these ``args``, or ConfigError with every problem in its message."""
    problems = [
        f"{dotted(at)}: {message}" for at, message in _problems(AppSettings, args, ("args",))
    ]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return AppSettings.model_validate(args)


_Found = Iterator[tuple[Location, str]]


def _read(path: Path) -> tuple[Any, list[tuple[Location, str]]]:
    """The YAML file, and the keys given twice in one mapping: YAML keeps the last, silently."""
    text = path.read_text(encoding="utf-8")
    return yaml.safe_load(text), list(_duplicates(yaml.compose(text, yaml.SafeLoader), ()))


def _duplicates(node: yaml.Node | None, at: Location) -> _Found:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicates(item, (*at, index))
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                yield (*at, name), f"given twice, on lines {lines[name]} and {line}"
            lines.setdefault(name, line)
            yield from _duplicates(value, (*at, name))


def _serve_problems(config: dict[str, Any]) -> _Found:
    # Imported here: it takes a second or two, and build() does without.
    from ray.runtime_env import RuntimeEnv
    from ray.serve.config import AutoscalingPolicy
    from ray.serve.schema import ServeDeploySchema

    free_form = {
        "autoscaling_policy": frozenset(AutoscalingPolicy.model_fields),
        "runtime_env": frozenset(RuntimeEnv.known_fields),
    }
    yield from _problems(ServeDeploySchema, config, (), free_form)


def _application_problems(config: dict[str, Any]) -> _Found:
    """Our part of each application of ours."""
    applications = config.get("applications")
    if applications == []:
        yield ("applications",), "there is none"
    for index, application in enumerate(applications if isinstance(applications, list) else ()):
        if not isinstance(application, dict):
            continue  # Serve's part has said so; args likewise
        at = ("applications", index)
        import_path = str(application.get("import_path", ""))
        if import_path == BUILDER:
            args = application.get("args", {})
            if not isinstance(args, dict):
                continue
            yield from _problems(AppSettings, args, (*at, "args"))
            yield from _timeout_problems(config, args, at)
        elif import_path.startswith("serve_app"):
            yield (*at, "import_path"), f"should be {BUILDER}"


def _timeout_problems(config: dict[str, Any], args: dict[str, Any], at: Location) -> _Found:
    """Serve's own deadline answers with a bare 408: ours must come first."""
    try:
        ours = AppSettings.model_validate(args).gateway.request_timeout_s
        serves = config["http_options"]["request_timeout_s"]
    except (KeyError, TypeError, ValidationError):
        return  # no deadline of Serve's, or reported already
    if isinstance(serves, int | float) and serves <= ours:
        yield (
            ("http_options", "request_timeout_s"),
            f"{serves:g} should be above {dotted(at)}.args.gateway.request_timeout_s, {ours:g}",
        )


def _problems(
    model: type[BaseModel], value: Any, at: Location, free_form: FreeForm | None = None
) -> _Found:
    """Unknown keys, and what the model's own validation says."""
    walk = KeyWalk(free_form or {})
    walk.model(model, value, at)
    yield from walk.unknown
    checked = copy.deepcopy(value)  # validators of Serve write into what they are given
    for loose_model, loose_value, loose_at in reversed(walk.loose):  # so that indices stay right
        if problems := list(_validation_problems(loose_model, loose_value, loose_at)):
            yield from problems
            # What raises in one part would hide the problems of all others.
            _remove(checked, loose_at[len(at) :])
    yield from _validation_problems(model, checked, at)


def _remove(value: Any, location: Location) -> None:
    for part in location[:-1]:
        value = value[part]
    value.pop(location[-1])


def _validation_problems(model: type[BaseModel], value: Any, at: Location) -> _Found:
    try:
        model.model_validate(copy.deepcopy(value))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            if detail["type"] != "extra_forbidden":  # the walk has named them, with a hint
                yield (*at, *keys_of(value, detail["loc"])), _plain(detail["type"], detail["msg"])
    except Exception as error:
        # Some of Serve's models import what they name, and raise whatever comes of it.
        yield at, f"{type(error).__name__}: {error}"


def _plain(kind: str, message: str) -> str:
    if kind == "missing":
        return "this key is required"
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return re.sub(r"^(Input|String) should", "should", message)
