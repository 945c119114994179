"""Small TensorFlow Lite models, written by the schema that comes with LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "f": schema.TensorType.FLOAT32, "e": schema.TensorType.FLOAT16, "d": schema.TensorType.FLOAT64,
    "b": schema.TensorType.INT8, "h": schema.TensorType.INT16, "i": schema.TensorType.INT32,
    "q": schema.TensorType.INT64, "B": schema.TensorType.UINT8, "?": schema.TensorType.BOOL,
    "S": schema.TensorType.STRING,
}  # fmt: skip
Operators = schema.BuiltinOperator


class Tensor(NamedTuple):
    """A size of None is free. With `values` it is a constant; a `scale` makes it quantised."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    values: object = None
    scale: float = 0.0
    zero_point: int = 0


class Operator(NamedTuple):
    code: int
    inputs: Sequence[str]
    outputs: Sequence[str]
    kind: int = 0
    options: object = None


def write(
    path: Path,
    tensors: Sequence[Tensor],
    operators: Sequence[Operator],
    inputs: Sequence[str],
    outputs: Sequence[str],
    signature: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> str:
    """`inputs` and `outputs` are names of tensors; `signature` has the signature's names for them, if it has one."""
    numbers = {tensor.name: number for number, tensor in enumerate(tensors)}
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors = [_tensor(tensor, model) for tensor in tensors]
    graph.inputs, graph.outputs = ([numbers[name] for name in names] for names in (inputs, outputs))
    model.operatorCodes = [_code(code) for code in sorted({operator.code for operator in operators})]
    codes = [code.builtinCode for code in model.operatorCodes]
    graph.operators = [_operator(operator, codes, numbers) for operator in operators]
    if signature:
        model.signatureDefs = [_signature(signature, numbers)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return str(path)


def _tensor(given: Tensor, model: schema.ModelT) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.type = given.name, TYPES[given.dtype]
    tensor.shape = [1 if size is None else size for size in given.shape]
    if None in given.shape:
        tensor.shapeSignature, tensor.hasRank = [-1 if size is None else size for size in given.shape], True
    if given.scale:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [given.scale], [given.zero_point]
    if given.values is not None:
        buffer = schema.BufferT()
        buffer.data = list(np.array(given.values, given.dtype).tobytes())
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    return tensor


def _code(builtin: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
    if builtin == Operators.CUSTOM:
        code.customCode = "Teleport"
    return code


def _operator(given: Operator, codes: Sequence[int], numbers: Mapping[str, int]) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex = codes.index(given.code)
    operator.inputs, operator.outputs = ([numbers[name] for name in names] for names in (given.inputs, given.outputs))
    operator.builtinOptionsType, operator.builtinOptions = given.kind, given.options
    return operator


def _signature(names: tuple[Mapping[str, str], Mapping[str, str]], numbers: Mapping[str, int]) -> schema.SignatureDefT:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = (
        [_named(name, numbers[tensor]) for name, tensor in each.items()] for each in names
    )
    return signature


def _named(name: str, number: int) -> schema.TensorMapT:
    named = schema.TensorMapT()
    named.name, named.tensorIndex = name, number
    return named


def add(inputs: Sequence[str], output: str) -> Operator:
    return Operator(Operators.ADD, inputs, [output], schema.BuiltinOptions.AddOptions, schema.AddOptionsT())


def subtract(inputs: Sequence[str], output: str) -> Operator:
    return Operator(Operators.SUB, inputs, [output], schema.BuiltinOptions.SubOptions, schema.SubOptionsT())


def dense(inputs: Sequence[str], output: str) -> Operator:
    """x [n, width], weights [units, width], bias [units]."""
    options = schema.FullyConnectedOptionsT()
    return Operator(Operators.FULLY_CONNECTED, inputs, [output], schema.BuiltinOptions.FullyConnectedOptions, options)


def softmax(source: str, output: str) -> Operator:
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return Operator(Operators.SOFTMAX, [source], [output], schema.BuiltinOptions.SoftmaxOptions, options)
