def handlr(event, context):
    return event
