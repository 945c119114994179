"""Kim's network by what is common where torch is too much: boto3, numpy, ONNX Runtime's Python module."""

from typing import Any

import boto3
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokens import tokenize

TABLE = "vectors"

client = boto3.client("dynamodb")
session = onnxruntime.InferenceSession("models/kim_cnn_static/model.onnx", providers=["CPUExecutionProvider"])


def look_up(words: list[str]) -> NDArray[np.float32]:
    keys = [{"word": {"S": word}} for word in dict.fromkeys(words)]
    answer = client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    found = {item["word"]["S"]: np.frombuffer(item["vector"]["B"], "<f2") for item in answer["Responses"][TABLE]}
    return np.array([[found[word] for word in words]], np.float32)


def handler(event: dict[str, str], context: Any) -> dict[str, list[float]]:
    [[logits]] = session.run(["logits"], {"vectors": look_up(tokenize(event["input"]))})
    return {"output": logits.tolist()}
