from pilotlight import Response, endpoint


@endpoint
def handler() -> Response:
    return Response(200, (("access-control-allow-origin", "*"),))
