"""`python vision_make.py NAME PATH` in the exporter's environment: a Keras model of true size with random weights."""

import sys

import keras

name, path = sys.argv[1:]
make = {"xception": keras.applications.Xception, "mobilenet_v2": keras.applications.MobileNetV2}[name]
size = {"xception": 299, "mobilenet_v2": 224}[name]
keras.utils.set_random_seed(0)
make(weights=None, input_shape=(size, size, 3), classes=10).save(path)
