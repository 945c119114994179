"""Answer with as much as Lambda lets through."""


def handler(event, context):
    return {"statusCode": 200, "body": "x" * 6_000_000}
