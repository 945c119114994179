"""The model folder: `model.onnx`, which is the decoder, `encoder.onnx`, the weights of both in one file, the pieces."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pilotlight.function.model import FORMAT
from pilotlight.optimize import layout
from pilotlight.optimize.sequences import graphs
from pilotlight.optimize.sequences.pieces import FILE as PIECES
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from onnx import TensorProto

    from pilotlight.optimize.sequences.graphs import Network

SESSION = layout.WARM
"""Weights are arranged for the processor when they are loaded: a step reads all of them, and there are many steps."""
DECODER, ENCODER, DATA = layout.FILE, "encoder.onnx", layout.DATA


def write(network: Network, settings: Mapping[str, Any], pieces: Path, out: Path) -> None:
    """Write the model folder `out`, `settings` being what model.json says of the model, with the file `pieces`."""
    out.mkdir(parents=True)
    graph(network, out)
    shutil.copyfile(pieces, out / PIECES)
    files = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
    checked = {"files": files, "sha256": layout.digests(out, files)}
    written = {"format": FORMAT, **settings, "session": dict(SESSION), **checked}
    (out / "model.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def graph(network: Network, out: Path) -> None:
    """Both graphs with their weights."""
    places: dict[bytes, dict[str, int]] = {}
    with (out / DATA).open("wb") as data:
        for name, model in ((ENCODER, graphs.encoder(network)), (DECODER, graphs.decoder(network))):
            for tensor in model.graph.initializer:
                _move(tensor, data, places)
            (out / name).write_bytes(model.SerializeToString())


def _move(tensor: TensorProto, data: BinaryIO, places: dict[bytes, dict[str, int]]) -> None:
    """Put what the tensor holds into the file, once for all tensors that hold the same."""
    content = tensor.raw_data or needed("onnx.numpy_helper").to_array(tensor).tobytes()
    if len(content) < layout.SMALLEST:
        return
    key = hashlib.sha256(content).digest()
    if key not in places:
        data.write(b"\0" * (-data.tell() % layout.ALIGNMENT))
        places[key] = {"offset": data.tell(), "length": len(content)}
        data.write(content)
    layout.outside(tensor, places[key])
