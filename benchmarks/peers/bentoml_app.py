"""`bentoml serve bentoml_app:Peer`: BentoML with its defaults."""

import bentoml
from kim_cnn import Classifier


@bentoml.service
class Peer:
    def __init__(self) -> None:
        self.classify = Classifier()

    @bentoml.api
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @bentoml.api
    def kim_cnn(self, input: str) -> dict[str, object]:
        return self.classify(input)
