from transformers import pipeline

answer = pipeline("question-answering", "models/qa")


def handler(event, context):
    return answer(event)
