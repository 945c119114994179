"""Never gets through its init phase."""

import time

while True:
    time.sleep(60)


def handler(event, context):
    return "never"
