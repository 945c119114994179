"""Kim's network as the demonstrations serve it: boto3, torch, and vectors that are lists of numbers."""

from typing import Any

import boto3
import torch
from tokens import tokenize
from torch import Tensor, nn

TABLE = "lists"


class KimCNN(nn.Module):
    """Vectors `[batch, n, dimensions]` to logits `[batch, classes]`."""

    def __init__(self, dimensions: int, widths: tuple[int, ...] = (3, 4, 5), channels: int = 100) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(dimensions, channels, width, padding=width - 1) for width in widths)
        self.output = nn.Linear(channels * len(widths), 2)

    def forward(self, vectors: Tensor) -> Tensor:
        features = [each(vectors.transpose(1, 2)).relu().amax(dim=2) for each in self.convolutions]
        logits: Tensor = self.output(torch.cat(features, dim=1))
        return logits


client = boto3.client("dynamodb")
weights = torch.load("models/kim_cnn_static/kim_cnn.pt", weights_only=True)
model = KimCNN(dimensions=weights["convolutions.0.weight"].shape[1])
model.load_state_dict(weights)
model.eval()


def look_up(words: list[str]) -> Tensor:
    keys = [{"word": {"S": word}} for word in dict.fromkeys(words)]
    answer = client.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    found = {
        item["word"]["S"]: [float(each["N"]) for each in item["vector"]["L"]] for item in answer["Responses"][TABLE]
    }
    return torch.tensor([[found[word] for word in words]])


def handler(event: dict[str, str], context: Any) -> dict[str, list[float]]:
    with torch.no_grad():
        [logits] = model(look_up(tokenize(event["input"]))).tolist()
    return {"output": logits}
