"""``ocr-serve check``: wrong keys and values are named with their path and the nearest name."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from serve_app.config_check import ConfigError, check_args, check_file
from serve_app.config_keys import KeyWalk, dotted, keys_of
from serve_app.settings import AppSettings

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
ARGS: dict[str, Any] = {
    "models": {"ocr": {"pipeline": "OCR"}},
    "pools": {"cpu": {"device": "cpu"}},
}


def config(**changes: Any) -> dict[str, Any]:
    """A valid configuration with top-level keys added or replaced."""
    application = {"name": "ocr", "import_path": "serve_app.app:build", "args": ARGS}
    return {"applications": [application], **changes}


def with_application(**changes: Any) -> dict[str, Any]:
    return config(applications=[{**config()["applications"][0], **changes}])


def with_deployment(**options: Any) -> dict[str, Any]:
    return with_application(deployments=[{"name": "gateway", **options}])


def check_text(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{file}: ") for problem in check_file(file)]


def check(tmp_path: Path, content: Any) -> list[str]:
    return check_text(tmp_path, yaml.safe_dump(content))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_shipped_configs_are_accepted(file: Path) -> None:
    assert check_file(file) == []


def test_problem_names_file_path_and_nearest_key(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    args = {**ARGS, "models": {"ocr": {"pipeline": "OCR", "engine": {"thread": 2}}}}
    file.write_text(yaml.safe_dump(with_application(args=args)))
    assert [str(problem) for problem in check_file(file)] == [
        f"{file}: applications[0].args.models.ocr.engine.thread: "
        "unknown key, did you mean 'threads'?"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (config(http_option={}), "http_option: unknown key, did you mean 'http_options'?"),
        (config(zzz=1), "zzz: unknown key"),
        (
            config(http_options={"prot": 1}),
            "http_options.prot: unknown key, did you mean 'port'?",
        ),
        (
            config(grpc_options={"prot": 1}),
            "grpc_options.prot: unknown key, did you mean 'port'?",
        ),
        (
            config(logging_config={"encodin": "JSON"}),
            "logging_config.encodin: unknown key, did you mean 'encoding'?",
        ),
        (
            with_application(route_prefx="/"),
            "applications[0].route_prefx: unknown key, did you mean 'route_prefix'?",
        ),
        (
            with_application(runtime_env={"env_var": {}}),
            "applications[0].runtime_env.env_var: unknown key, did you mean 'env_vars'?",
        ),
        (
            with_deployment(max_ongoing_request=1),
            "applications[0].deployments[0].max_ongoing_request: "
            "unknown key, did you mean 'max_ongoing_requests'?",
        ),
        (
            with_deployment(ray_actor_options={"num_gpu": 1}),
            "applications[0].deployments[0].ray_actor_options.num_gpu: "
            "unknown key, did you mean 'num_gpus'?",
        ),
        (
            with_deployment(autoscaling_config={"max_replica": 2}),
            "applications[0].deployments[0].autoscaling_config.max_replica: "
            "unknown key, did you mean 'max_replicas'?",
        ),
        (
            with_deployment(autoscaling_config={"policy": {"policy_kwarg": {}}}),
            "applications[0].deployments[0].autoscaling_config.policy.policy_kwarg: "
            "unknown key, did you mean 'policy_kwargs'?",
        ),
        (
            with_deployment(request_router_config={"initial_backoff": 1}),
            "applications[0].deployments[0].request_router_config.initial_backoff: "
            "unknown key, did you mean 'initial_backoff_s'?",
        ),
    ],
    ids=lambda value: value.partition(":")[0] if isinstance(value, str) else "",
)
def test_key_unknown_to_serve_is_an_error(tmp_path: Path, content: Any, expected: str) -> None:
    assert expected in check(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (config(http_options={"port": "x"}), "http_options.port: should be a valid integer"),
        (config(proxy_location="Here"), "proxy_location: should be 'Disabled', 'HeadOnly' or"),
        (config(applications=[]), "applications: there is none"),
        (config(applications=3), "applications: should be a valid list"),
        (with_application(args=None), "applications[0].args: should be a valid dictionary"),
        (
            with_application(import_path="serve_app.app:biuld"),
            "applications[0].import_path: should be serve_app.app:build",
        ),
        # Serve itself takes any mapping here, and fails when it deploys.
        (
            with_deployment(autoscaling_config={"max_replicas": "many"}),
            "applications[0].deployments[0].autoscaling_config.max_replicas: should be a valid",
        ),
        (
            with_deployment(request_router_config={"request_router_class": "serve_app.no:X"}),
            "applications[0].deployments[0].request_router_config: ModuleNotFoundError",
        ),
    ],
)
def test_value_wrong_for_serve_is_an_error(tmp_path: Path, content: Any, expected: str) -> None:
    (message,) = check(tmp_path, content)
    assert message.startswith(expected)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    deployment = {"name": "a", "request_router_config": {"request_router_class": "serve_app.no:X"}}
    content = with_application(deployments=[deployment], args={**ARGS, "gatway": {}})
    content["http_options"] = {"port": "x"}
    paths = [message.partition(":")[0] for message in check(tmp_path, content)]
    assert paths == [
        "applications[0].deployments[0].request_router_config",
        "http_options.port",
        "applications[0].args.gatway",
    ]


def test_serves_deadline_below_ours_is_an_error(tmp_path: Path) -> None:
    args = {**ARGS, "gateway": {"request_timeout_s": 60}}
    content = with_application(args=args) | {"http_options": {"request_timeout_s": 60}}
    assert check(tmp_path, content) == [
        "http_options.request_timeout_s: "
        "60 should be above applications[0].args.gateway.request_timeout_s, 60"
    ]
    content["http_options"] = {"request_timeout_s": 61}
    assert check(tmp_path, content) == []


def test_duplicate_key_is_an_error(tmp_path: Path) -> None:
    text = yaml.safe_dump(config()) + "http_options:\n  port: 1\n  host: a\n  port: 2\n"
    assert check_text(tmp_path, text)[0].startswith("http_options.port: given twice, on lines")


@pytest.mark.parametrize("text", ["a: [1", "- 1", "", "a: b: c", "{\x00}"])
def test_file_that_is_no_mapping_is_one_problem(tmp_path: Path, text: str) -> None:
    (message,) = check_text(tmp_path, text)
    assert "\n" not in message


def test_missing_file_is_one_problem(tmp_path: Path) -> None:
    (problem,) = check_file(tmp_path / "none.yaml")
    assert "No such file" in str(problem)


def test_applications_of_others_are_checked_against_serve_only(tmp_path: Path) -> None:
    assert check(tmp_path, with_application(import_path="other.module:app", args={"a": 1})) == []


def test_check_args_returns_the_settings() -> None:
    assert check_args(ARGS) == AppSettings.model_validate(ARGS)


def test_check_args_raises_with_every_problem() -> None:
    args = {"models": {"ocr": {"pipelin": "OCR"}}, "pools": {"cpu": {"device": "tpu"}}}
    with pytest.raises(ConfigError) as caught:
        check_args(args)
    assert str(caught.value).splitlines() == [
        "args.models.ocr.pipelin: unknown key, did you mean 'pipeline'?",
        "args.models.ocr.pipeline: this key is required",
        "args.pools.cpu.device: should be 'cpu' or 'gpu'",
    ]


def test_check_args_reports_unknown_options_of_a_pipeline() -> None:
    model = {"pipeline": "OCR", "options": {"use_doc_unwrapping": True}}
    with pytest.raises(ConfigError, match="did you mean 'use_doc_unwarping'"):
        check_args({**ARGS, "models": {"ocr": model}})


def test_config_error_survives_pickle() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("one", "two")))
    assert (str(error), error.args) == ("one\ntwo", ("one", "two"))


def test_dotted_paths() -> None:
    assert dotted(("applications", 0, "args", "models")) == "applications[0].args.models"
    assert dotted(()) == ""


def test_location_of_a_pydantic_error_drops_union_members() -> None:
    value = {"a": [{"b": 1}]}
    assert list(keys_of(value, ("a", 0, "SomeModel", "b"))) == ["a", 0, "b"]
    assert list(keys_of(value, ("a", 0, "missing"))) == ["a", 0, "missing"]
    assert list(keys_of(value, ("a", "[key]"))) == ["a"]


def test_walk_goes_through_unions_lists_and_mappings() -> None:
    class Leaf(BaseModel):
        name: str = ""

    class Tree(BaseModel):
        one: Leaf | None = None
        many: list[Leaf] = []
        named: dict[str, Leaf] = {}
        loose: dict[str, Any] | Leaf = {}

    walk = KeyWalk()
    wrong = {"nam": ""}
    value = {"one": wrong, "many": [{}, wrong], "named": {"x": wrong}, "loose": wrong}
    walk.model(Tree, value, ())
    assert [dotted(at) for at, _ in walk.unknown] == [
        "one.nam",
        "many[1].nam",
        "named.x.nam",
        "loose.nam",
    ]
    assert [(model, dotted(at)) for model, _, at in walk.loose] == [(Leaf, "loose")]


# --- The shipped files as documentation ----------------------------------------------------


def settings_keys(model: type[BaseModel], path: str = "args") -> Iterator[str]:
    """The path of every key of our settings; ``*`` for the names of models and pools."""
    for name, field in model.model_fields.items():
        yield f"{path}.{name}"
        named = get_origin(field.annotation) is dict
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from settings_keys(part, f"{path}.{name}.*" if named else f"{path}.{name}")


def shown_keys(text: str) -> Iterator[str]:
    """The path of every key in a file, of commented-out ones too, by indentation."""
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if match := re.match(r"(\s*(?:- )?)(?:# )?([a-z_-]+):( |$)", line):
            while above and above[-1][0] >= len(match[1]):
                above.pop()
            above.append((len(match[1]), match[2]))
            names = [name for _, name in above]
            if "args" in names:
                path = ".".join(names[names.index("args") :])
                yield re.sub(r"^(args\.(?:models|pools))\.[^.]+", r"\1.*", path)


def mapping_keys(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield from mapping_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from mapping_keys(item)


@pytest.mark.parametrize("file", ["local.yaml", "prod.yaml"])  # gpu-8gb.yaml has what differs
def test_every_setting_is_shown(file: str) -> None:
    text = (ROOT / "configs" / file).read_text()
    assert sorted(set(settings_keys(AppSettings)) - set(shown_keys(text))) == []


def test_every_key_of_the_local_config_has_a_comment() -> None:
    text = (ROOT / "configs" / "local.yaml").read_text()
    lines = text.splitlines()
    without = []
    root = yaml.compose(text, yaml.SafeLoader)
    assert root is not None
    for key in mapping_keys(root):
        line = key.start_mark.line
        above = lines[line - 1].strip()
        if (
            not above.startswith("#")
            and "#" not in lines[line]
            and str(key.value)
            not in (
                "applications",
                "args",
            )
        ):
            without.append(f"{line + 1}: {key.value}")
    assert without == []
