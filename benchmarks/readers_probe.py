"""The floor under a cold start: Python, ctypes, ONNX Runtime's library, one session, one run. No product code.

    python -S -E benchmarks/readers_probe.py LIBRARY MODEL TOKENS INPUT...

prints an empty line when the run has ended. The positions are those of `OrtApi` (onnxruntime_c_api.h).
"""

import ctypes
import os
import sys
from ctypes import byref, c_char_p, c_int64, c_size_t, c_void_p

library, model, tokens, names = sys.argv[1], sys.argv[2], int(sys.argv[3]), [name.encode() for name in sys.argv[4:]]
base = ctypes.CDLL(library).OrtGetApiBase
base.restype = c_void_p
get_api = ctypes.CFUNCTYPE(c_void_p, ctypes.c_uint32)(c_void_p.from_address(base()).value)
table = (c_void_p * 131).from_address(get_api(5))


def call(position: int, *arguments: object) -> int:
    """Call the function at `position` of the table; its last argument is written, and given back."""
    out = c_void_p()
    status = ctypes.CFUNCTYPE(c_void_p)(table[position])(*arguments, byref(out))
    assert not status, (position, ctypes.CFUNCTYPE(c_char_p, c_void_p)(table[2])(status))
    return out


def setting(position: int, *arguments: object) -> None:
    status = ctypes.CFUNCTYPE(c_void_p)(table[position])(*arguments)
    assert not status, position


env = call(3, 3, b"probe")
options = call(10)
setting(23, options, 0)
setting(24, options, len(os.sched_getaffinity(0)))
setting(130, options, b"session.disable_prepacking", b"1")
session = call(7, env, model.encode(), options)
memory = call(69, 0, 0)
shape = (c_int64 * 2)(1, tokens)
feeds = {b"input_ids": [101] + [1996] * (tokens - 1), b"attention_mask": [1] * tokens, b"token_type_ids": [0] * tokens}
buffers = [(c_int64 * tokens)(*feeds[name]) for name in names]
values = (c_void_p * len(names))(
    *(call(49, memory, buffer, c_size_t(8 * tokens), shape, c_size_t(2), 7).value for buffer in buffers)
)
results = (c_void_p * 2)()
outputs = (c_char_p * 2)(b"start_logits", b"end_logits")
run = (session, None, (c_char_p * len(names))(*names), values, c_size_t(len(names)), outputs, c_size_t(2), results)
setting(9, *run)
sys.stdout.write("\n")
sys.stdout.flush()
sys.stdin.read()
