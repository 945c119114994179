"""Answer any request with its token and what came of its method and body: it never fails."""

import json


def handler(event, context):
    body = event.get("body") or ""
    method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
    told = {"token": event["headers"].get("x-token", ""), "method": method, "size": len(body)}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(told)}
