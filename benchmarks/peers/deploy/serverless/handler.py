import base64
import json
import os
import time

import boto3

from pilotlight.function.text import Reader

reader = Reader("models/qa")
table = boto3.resource("dynamodb").Table(os.environ["RECORDS_TABLE"])


def handler(event, context):
    began = time.perf_counter()
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)
    try:
        given = json.loads(body)
        question, passage = given["question"], given["context"]
        if not isinstance(question, str) or not isinstance(passage, str):
            raise TypeError("question and context are texts")
    except (ValueError, KeyError, TypeError) as error:
        return respond(400, {"message": str(error)})
    answer = reader.answer(question, passage)._asdict()
    table.put_item(
        Item={
            "primary_key": context.aws_request_id,
            "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "function": context.function_name,
            "input": json.dumps({"question": question, "context": passage}),
            "output": json.dumps(answer),
            "latency_ms": round((time.perf_counter() - began) * 1000),
            "expires": int(time.time()) + 30 * 86400,
        }
    )
    return respond(200, answer)


def respond(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
