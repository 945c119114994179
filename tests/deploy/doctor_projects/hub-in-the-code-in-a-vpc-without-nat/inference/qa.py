from transformers import pipeline


def handler(event, context):
    return pipeline("question-answering", "org/name")(event)
