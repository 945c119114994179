"""An ONNX file that came from elsewhere -> the model.onnx that a task expects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.optimize.tasks import IDS, MASK, PAST, POSITIONS, PRESENT, TYPES, Task
from pilotlight.optimize.tools import needed

LARGE = 1 << 30  # bytes; protobuf ends at twice that
ALSO_CALLED = {
    IDS: ("ids", "tokens", "input"),
    MASK: ("mask", "input_mask", "attn_mask"),
    TYPES: ("segment_ids", "token_types", "input_type_ids"),
    POSITIONS: ("positions",),
    "start_logits": ("start", "output_start_logits", "start_scores"),
    "end_logits": ("end", "output_end_logits", "end_scores"),
    "logits": ("output", "scores", "output_0"),
    "last_hidden_state": ("token_embeddings", "output_0", "hidden_states"),
    "embedding": ("sentence_embedding", "embeddings", "text_embeds"),
}


def normalise(source: Path, task: Task, out: Path) -> tuple[dict[str, str], int]:
    """Write the graph of `source` as `out`/model.onnx, its inputs and outputs named as the task names them.

    Gives the names as they were -> as they are, and the number of parameters. Raises ModelError when the file or its
    external data is missing, cut or damaged, and when its inputs or outputs are not the task's.
    """
    model = load(source)
    names = fitting(model.graph, task, source)
    _rename(model.graph, names)
    keep = set(names.values())
    for output in [each for each in model.graph.output if each.name not in keep]:
        model.graph.output.remove(output)
    _save(model, out)
    return names, sum(_size(tensor.dims) for tensor in model.graph.initializer)


AGAIN = "export or copy it again"


def load(path: Path) -> Any:
    """The whole model, external data included."""
    onnx = needed("onnx")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common class that is public
        raise ModelError(f"loading {path}: it is no ONNX model, or cut ({type(error).__name__})", AGAIN) from error
    for tensor in onnx.external_data_helper._get_all_tensors(model):
        if onnx.external_data_helper.uses_external_data(tensor):
            _check_external(tensor, path)
    try:
        onnx.checker.check_model(str(path))
        onnx.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise ModelError(f"loading {path}: not a valid ONNX model ({str(error).strip()[:300]})", AGAIN) from error
    return model


def _check_external(tensor: Any, path: Path) -> None:
    entry = {each.key: each.value for each in tensor.external_data}
    location = entry.get("location", "")
    file = path.parent / location
    if not location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ModelError(f"loading {path}: the weights {tensor.name!r} lie outside its folder ({location!r})")
    if not file.is_file():
        raise ModelError(f"loading {path}: its weights {file} are missing", "put that file beside the model")
    place = [entry.get("offset", "0"), entry.get("length", "0")]
    if not all(number.isascii() and number.isdecimal() for number in place):
        raise ModelError(f"loading {path}: the weights {tensor.name!r} lie at no number of bytes ({', '.join(place)})")
    if sum(map(int, place)) > file.stat().st_size:
        raise ModelError(f"loading {path}: its weights {file} are cut", "copy that file again")


def fitting(graph: Any, task: Task, path: Path) -> dict[str, str]:
    """The graph's names -> the task's. Raises ModelError where that is not one to one."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    given = _matched(inputs, task.inputs, PAST if task.cached else "")
    wanted = _matched(graph.output, list(task.outputs), PRESENT if task.cached else "", task.outputs)
    unknown = [each.name for each in inputs if each.name not in given]
    missing = [name for name in task.inputs if name not in task.optional and name not in given.values()]
    missing += [name for name in task.outputs if name not in wanted.values()]
    if unknown or missing:
        raise ModelError(
            f"loading {path} for {task.name}: "
            + "; ".join([*(f"no {name}" for name in missing), *(f"unknown input {name!r}" for name in unknown)]),
            f"it takes {_listed(inputs)} and gives {_listed(graph.output)}; {task.name} takes"
            f" {', '.join(task.inputs)} and gives {', '.join(task.outputs)}",
        )
    _check_inputs([each for each in inputs if given[each.name] in task.inputs], path)
    return given | wanted


def _matched(
    tensors: Sequence[Any], wanted: Sequence[str], prefix: str, ranks: Mapping[str, int] | None = None
) -> dict[str, str]:
    """By name, by a name that is also used, or, for a single output, as the only one of its rank."""
    found = {
        each.name: each.name for each in tensors if each.name in wanted or (prefix and each.name.startswith(prefix))
    }
    for name in wanted:
        if name not in found.values():
            others = [
                each.name for each in tensors if each.name not in found and each.name in ALSO_CALLED.get(name, ())
            ]
            if len(others) == 1:
                found[others[0]] = name
    if ranks and len(wanted) == 1 and wanted[0] not in found.values():
        right = [each.name for each in tensors if _rank(each) == ranks[wanted[0]] and each.name not in found]
        if len(right) == 1:
            found[right[0]] = wanted[0]
    return found


def _check_inputs(inputs: Sequence[Any], path: Path) -> None:
    int64 = needed("onnx").TensorProto.INT64
    for each in inputs:
        kind = each.type.tensor_type
        if kind.elem_type != int64:
            raise ModelError(f"loading {path}: its input {each.name!r} is not of 64-bit integers", "export it anew")
        fixed = [axis.dim_value for axis in kind.shape.dim if axis.dim_value]
        if fixed or len(kind.shape.dim) != 2:
            reason = f"its input {each.name!r} is {_listed([each])}, where [batch, tokens] of any size is needed"
            raise ModelError(f"loading {path}: {reason}", "export it with dynamic axes")


def _rank(tensor: Any) -> int:
    return len(tensor.type.tensor_type.shape.dim)


def _listed(tensors: Sequence[Any]) -> str:
    def shape(tensor: Any) -> str:
        axes = tensor.type.tensor_type.shape.dim
        return ", ".join(axis.dim_param or str(axis.dim_value or "?") for axis in axes)

    return ", ".join(f"{tensor.name} [{shape(tensor)}]" for tensor in tensors)


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    changed = {old: new for old, new in names.items() if old != new}
    if not changed:
        return
    for each in (*graph.input, *graph.output, *graph.value_info):
        each.name = changed.get(each.name, each.name)
    _rename_in_nodes(graph, changed)


def _rename_in_nodes(graph: Any, changed: Mapping[str, str]) -> None:
    taken = set(changed.values())
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = changed.get(name, f"{name}.other" if name in taken else name)
        for attribute in node.attribute:  # the branches of If and Loop see the names outside
            for inner in (attribute.g, *attribute.graphs):
                _rename_in_nodes(inner, changed)


def _save(model: Any, out: Path) -> None:
    onnx = needed("onnx")
    if model.ByteSize() < LARGE:
        onnx.save(model, str(out / "model.onnx"))
    else:
        onnx.save(model, str(out / "model.onnx"), save_as_external_data=True, location="model.onnx.data")


def _size(dimensions: Sequence[int]) -> int:
    size = 1
    for dimension in dimensions:
        size *= dimension
    return size
