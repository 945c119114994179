"""Answer with what tells one request from another, after a given time."""

import json
import os
import time


def handler(event, context):
    asked = json.loads(event["body"])
    time.sleep(asked.get("seconds", 0))
    return {"token": asked["token"], "pid": os.getpid()}
