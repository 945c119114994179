"""The graph optimised offline: fused operators of transformers, then ONNX Runtime's own optimisation.

What comes out is loaded without any optimisation. The runtime's own optimiser knows the attention of few exporters;
`onnxruntime.transformers` knows more, so it comes first.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from onnx import ModelProto

LIMIT = 2_000_000_000
"""Bytes of a protobuf message that its libraries read; a larger graph is not fused or quantised here."""

FUSED = ("Attention", "MultiHeadAttention", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "BiasGelu")
"""Operators that say whether fusing found what it looks for."""


def read(path: Path) -> ModelProto:
    """The model with all its weights in memory."""
    return needed("onnx").load(str(path))  # type: ignore[no-any-return]


def fuse(path: Path, heads: int, width: int) -> ModelProto:
    """The model at `path` with attention, normalisation and activation each as one operator, where they are found.

    `heads` and `width` (the hidden size) are 0 where they are not known. Attention takes the mask as it is given: the
    shorter form that counts the tokens is wrong for a mask with a gap or with padding on the left. Embeddings stay
    apart, so that each can be quantised by rows.
    """
    optimizer = needed("onnxruntime.transformers.optimizer")
    options = needed("onnxruntime.transformers.fusion_options").FusionOptions("bert")
    options.use_raw_attention_mask(True)
    options.enable_embed_layer_norm = False
    with quiet():
        fused = optimizer.optimize_model(
            str(path), "bert", heads, width, optimization_options=options, opt_level=0, use_gpu=False
        )
    model: ModelProto = fused.model
    if all(each.domain != "com.microsoft" for each in model.opset_import):
        model.opset_import.add(domain="com.microsoft", version=1)
    return model


def optimize(model: ModelProto, out: Path, *, packed: bool = False) -> None:
    """Write `model` at `out` as ONNX Runtime optimises it for any x86-64 or Arm processor.

    `packed` puts the weights beside it as this machine's kernels want them, in `out` + ".data"; else they are inside.
    """
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 3
    if packed:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{out.name}.data")
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
        options.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        given = Path(folder) / "model.onnx"
        needed("onnx").save(model, str(given))
        runtime.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])


def operators(model: ModelProto) -> dict[str, int]:
    """How many nodes of each operator the graph has, the most frequent first."""
    return dict(Counter(node.op_type for node in model.graph.node).most_common())


def has_fused(model: ModelProto) -> bool:
    return bool(set(FUSED) & operators(model).keys())


def quiet() -> AbstractContextManager[None]:
    """While it holds, the libraries' remarks on the root logger and on stdout, which is for results, are not shown."""
    from contextlib import contextmanager, redirect_stdout

    @contextmanager
    def holding() -> Iterator[None]:
        before = logging.root.manager.disable
        logging.disable(logging.ERROR)
        try:
            with redirect_stdout(io.StringIO()):
                yield
        finally:
            logging.disable(before)

    return holding()
