"""`python -I make_picture_model.py KIND PATH` in an exporter's environment: a small model of pictures, 32 x 32."""

import sys


def keras_model():
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.SeparableConv2D(8, 3, strides=2, padding="same", use_bias=False)(pixels)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = keras.layers.Activation("swish")(keras.layers.Conv2D(16, 3, strides=2)(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D(3, 2, padding="same")(x))
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))


def with_lambda():
    import keras

    pixels = keras.Input((32, 32, 3))
    return keras.Model(pixels, keras.layers.Dense(3)(keras.layers.Lambda(lambda x: x[:, 0, 0])(pixels)))


def lite(path: str) -> None:
    import tensorflow as tf

    with open(path, "wb") as file:
        file.write(tf.lite.TFLiteConverter.from_keras_model(keras_model()).convert())


def printing_saved_model(path: str) -> None:
    import tensorflow as tf

    module = tf.Module()

    def serve(x):
        tf.print("seen", output_stream=f"file://{path}/seen.txt")
        return {"y": tf.reduce_mean(x, axis=[1, 2])}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32, name="x")])
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})


def unsafe_saved_model(path: str) -> None:
    import tensorflow as tf

    module = tf.Module()
    signature = [tf.TensorSpec((None, 32, 32, 3), tf.float32, name="x")]

    def serve(x):
        content = tf.io.read_file("/etc/hostname")
        return {"y": tf.reduce_mean(x, axis=[1, 2]) + tf.cast(tf.strings.length(content), tf.float32)}

    module.serve = tf.function(serve, input_signature=signature)
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})


def saving_saved_model(path: str) -> None:
    import tensorflow as tf

    module = tf.Module()

    def serve(x):
        tf.raw_ops.SaveV2(
            prefix=f"{path}/written", tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1.0)]
        )
        return {"y": tf.reduce_mean(x, axis=[1, 2])}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32, name="x")])
    tf.saved_model.save(module, path, signatures={"serving_default": module.serve})


def program(path: str) -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(8, 8, 3, groups=8, padding=1),
        torch.nn.Conv2d(8, 16, 1),
        torch.nn.Hardswish(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 3),
    ).eval()
    torch.export.save(torch.export.export(model, (torch.rand(1, 3, 32, 32),)), path)


if __name__ == "__main__":
    kind, path = sys.argv[1:]
    match kind:
        case "keras":
            keras_model().save(path)
        case "lambda":
            with_lambda().save(path)
        case "savedmodel":
            keras_model().export(path, verbose=False)
        case "unsafe":
            unsafe_saved_model(path)
        case "printing":
            printing_saved_model(path)
        case "saving":
            saving_saved_model(path)
        case "tflite":
            lite(path)
        case "pt2":
            program(path)
