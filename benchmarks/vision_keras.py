"""`python vision_keras.py MODEL.keras PICTURE SIZE RUNS`: what the demonstrations do with Keras."""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf

path, picture, size, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
model = keras.models.load_model(path, compile=False)


def answer() -> list[float]:
    with open(picture, "rb") as file:
        pixels = tf.image.resize(tf.io.decode_jpeg(file.read(), channels=3), (size, size), method="nearest")
    values = tf.cast(pixels[None], tf.float32) / 127.5 - 1
    return model(values, training=False).numpy()[0].tolist()  # predict() is slower


answer()
answered, warm = time.monotonic(), []
for _ in range(runs):
    began = time.perf_counter()
    answer()
    warm.append(time.perf_counter() - began)
print(json.dumps({"answered": answered, "warm": warm}))
