"""A .pt2 archive of a picture model -> ONNX in fp32."""

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from archives import load_program
from refusal import Refused

OPSET = 20


def picture_program(job: dict[str, Any]) -> dict[str, Any]:
    """Write `model.onnx` to the folder `out`; what is known of it."""
    program = load_program(Path(job["path"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            converted = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
        except Exception as error:  # the exporter's own errors: operators that it does not know
            text = " ".join(str(error).split())[:400]
            raise Refused(f"exporting the model to ONNX: {text}", kind="model") from error
    assert converted is not None
    model = converted.model_proto
    onnx.save(model, str(Path(job["out"]) / "model.onnx"))
    return {
        "parameters": sum(weight.numel() for weight in program.parameters()),
        "versions": {"torch": torch.__version__, "onnx": onnx.__version__},
    }
