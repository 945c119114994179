import json
import os
import time

import boto3
from chalice import BadRequestError, Chalice, CORSConfig

from pilotlight.function.text import Reader

app = Chalice(app_name="question-answering")
reader = Reader(os.path.join(os.path.dirname(__file__), "chalicelib", "models", "qa"))
table = boto3.resource("dynamodb").Table(os.environ["RECORDS_TABLE"])


@app.route("/qa", methods=["POST"], cors=CORSConfig(allow_origin="https://example.com"))
def qa():
    began = time.perf_counter()
    given = app.current_request.json_body or {}
    question, passage = given.get("question"), given.get("context")
    if not isinstance(question, str) or not isinstance(passage, str):
        raise BadRequestError("question and context are texts")
    answer = reader.answer(question, passage)._asdict()
    table.put_item(
        Item={
            "primary_key": app.lambda_context.aws_request_id,
            "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "function": app.lambda_context.function_name,
            "input": json.dumps(given),
            "output": json.dumps(answer),
            "latency_ms": round((time.perf_counter() - began) * 1000),
            "expires": int(time.time()) + 30 * 86400,
        }
    )
    return answer
