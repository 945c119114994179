"""A trained model -> a small, fast ONNX model with a report of what that changed."""
