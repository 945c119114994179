def handler(event, context):
    with open("/mnt/models/last", "w") as file:
        file.write("")
    return {}
