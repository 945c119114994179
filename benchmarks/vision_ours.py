"""`python vision_ours.py FOLDER PICTURE RUNS`: the model folder, served by ImageClassifier."""

import json
import sys
import time

from pilotlight.function.image import ImageClassifier
from pilotlight.function.inputs import Image

classifier = ImageClassifier(sys.argv[1])


def answer() -> None:
    with open(sys.argv[2], "rb") as file:
        picture = Image(file.read())
    classifier.logits(picture)


answer()
answered, warm, pixels = time.monotonic(), [], []
image = classifier.model.settings["image"]
for _ in range(int(sys.argv[3])):
    began = time.perf_counter()
    answer()
    warm.append(time.perf_counter() - began)
    began = time.perf_counter()
    with open(sys.argv[2], "rb") as file:
        Image(file.read()).pixels(image["width"], image["height"], image["resample"])
    pixels.append(time.perf_counter() - began)
print(json.dumps({"answered": answered, "warm": warm, "pixels": pixels}))
