import json

from kim_cnn import Classifier

classify = Classifier()


def handler(event, context):
    answer = classify(json.loads(event["body"])["input"])
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
