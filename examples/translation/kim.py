"""Kim's convolutional network over whole words, which the example `sentences` trains: `models/sentiment` is its
`models/kim_cnn`.
"""

from array import array
from os.path import dirname, join

from tokens import tokenize

from pilotlight import InputError, Model
from pilotlight.function.labels import Label, softmax
from pilotlight.function.textmodel import floats, tensor

UNKNOWN = 0  # the first vector that the model holds is that of all words it does not know


class Classifier:
    """A folder with `model.onnx`, `model.json` and the words, by the number of their vectors, in `vocabulary.txt`."""

    def __init__(self, path: str) -> None:
        self.model = Model(path)
        self.labels: list[str] = self.model.settings["labels"]
        with open(join(dirname(self.model.path), "vocabulary.txt"), encoding="utf-8") as file:
            words = file.read().split("\n")
        self._numbers = dict(zip(words, range(len(words)), strict=True))

    def classify(self, text: str) -> Label:
        """The more probable label of a text, of which the first 1,000 words count. Raises `InputError` without one."""
        words = tokenize(text)
        if not words:
            raise InputError(("text", "must contain at least one word"))
        row = array("q", [self._numbers.get(word, UNKNOWN) for word in words])
        feeds = {self.model.inputs[0].name: tensor(row, [1, len(row)])}
        logits = floats(self.model.run(feeds)["logits"]).tolist()
        return max(map(Label, self.labels, softmax(logits)), key=lambda label: label.score)
