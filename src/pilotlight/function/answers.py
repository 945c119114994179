"""Answers that the json module does not take alone, as `awslambdaric` 4.2.2 encodes them with simplejson.

A Decimal is a number with all of its digits (boto3 reads DynamoDB's numbers as such), and bytes inside an answer are
UTF-8. A module of its own, since few answers need it.
"""

import json
import os
import re
from typing import Any

from pilotlight.function.runtime import Fault


def encode(answer: object) -> bytes:
    """Raises `Fault` for what Lambda's runtime does not take either."""
    mark = os.urandom(8).hex()  # around numbers that are written as strings first

    def default(value: Any) -> str:
        if isinstance(value, bytes):
            return value.decode()
        if type(value).__name__ == "Decimal":
            return f"{mark}{'NaN' if value.is_nan() else value}"
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    try:
        text = json.dumps(answer, ensure_ascii=False, default=default)
        return re.sub(f'"{mark}([^"]*)"', r"\1", text).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
