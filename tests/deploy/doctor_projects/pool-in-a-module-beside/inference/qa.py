from words import count


def handler(event, context):
    return count(event)
