"""The HTTP API: all functions behind one, whose requests are events of format 2.0."""

from pilotlight.deploy import names, routes
from pilotlight.deploy.cloudformation import Resource, ref, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.errors import ProjectError
from pilotlight.project import Route
from pilotlight.settings import FILE, Cors, Jwt

_AUTHORIZATION = {"none": "NONE", "iam": "AWS_IAM", "jwt": "JWT"}
_DEFAULT = "$default"  # the stage without a segment in paths


def resources(deployment: Deployment) -> dict[str, Resource]:
    """Raises `ProjectError` for routes whose preflights nobody would answer."""
    units = _behind(deployment)
    if not units:
        return {}
    _check_preflights(deployment, units)
    jwt = deployment.project.jwt
    return {
        "HttpApi": _api(deployment),
        **({"HttpAuthorizer": _authorizer(jwt)} if jwt and any(unit.function.auth == "jwt" for unit in units) else {}),
        **{name: each for unit in units for name, each in _of(unit).items()},
        "HttpStage": _stage(deployment, units),
    }


def outputs(deployment: Deployment) -> dict[str, Resource]:
    """The URL of the API, and of each route."""
    units = _behind(deployment)
    base = f"${{HttpApi.ApiEndpoint}}{f'/{deployment.project.stage}' if deployment.project.stage else ''}"
    found: dict[str, Resource] = {"HttpApiUrl": {"Value": sub(base)}} if units else {}
    for unit in units:
        found |= routes.outputs(unit, lambda path: f"{base}{path}")
    return found


def _behind(deployment: Deployment) -> list[Unit]:
    return [unit for unit in deployment.units if unit.function.front == "http" and unit.function.routes]


def _api(deployment: Deployment) -> Resource:
    cors = deployment.project.cors
    return resource(
        "ApiGatewayV2::Api",
        Name=names.stack(deployment.project.name, deployment.stage),
        ProtocolType="HTTP",
        **({"CorsConfiguration": _cors(cors)} if cors else {}),
    )


def _cors(cors: Cors) -> Resource:
    """docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html."""
    lists = {
        "AllowOrigins": cors.origins,
        "AllowMethods": cors.methods,
        "AllowHeaders": cors.headers,
        "ExposeHeaders": cors.expose,
    }
    given: Resource = {name: list(values) for name, values in lists.items() if values}
    age = {"MaxAge": cors.max_age} if cors.max_age else {}
    return {**given, **age, "AllowCredentials": cors.credentials}


def _authorizer(jwt: Jwt) -> Resource:
    return resource(
        "ApiGatewayV2::Authorizer",
        ApiId=ref("HttpApi"),
        Name="jwt",
        AuthorizerType="JWT",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": jwt.issuer, "Audience": list(jwt.audiences)},
    )


def _of(unit: Unit) -> dict[str, Resource]:
    return {
        f"{unit.id}HttpIntegration": resource(
            "ApiGatewayV2::Integration",
            ApiId=ref("HttpApi"),
            IntegrationType="AWS_PROXY",
            IntegrationUri=ref(f"{unit.id}Alias"),
            PayloadFormatVersion="2.0",
        ),
        f"{unit.id}HttpPermission": routes.permission(unit, "HttpApi"),
        **{routes.of_route("HttpRoute", route): _route(unit, route) for route in unit.function.routes},
    }


def _route(unit: Unit, route: Route) -> Resource:
    jwt = {"AuthorizerId": ref("HttpAuthorizer")} if unit.function.auth == "jwt" else {}
    return resource(
        "ApiGatewayV2::Route",
        ApiId=ref("HttpApi"),
        RouteKey=str(route),
        AuthorizationType=_AUTHORIZATION[unit.function.auth],
        Target=sub(f"integrations/${{{unit.id}HttpIntegration}}"),
        **jwt,
    )


def _check_preflights(deployment: Deployment, units: list[Unit]) -> None:
    """A route that takes OPTIONS takes preflights before the API answers them, and asks them for what browsers do not
    send with them: docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html says so of $default."""
    closed = [unit for unit in units if deployment.project.cors and unit.function.auth != "none"]
    for unit, route in [(each, route) for each in closed for route in each.function.routes]:
        if route.method in ("ANY", "OPTIONS"):
            reason = f"{str(route)!r}: with [cors] and auth = {unit.function.auth!r} it would refuse preflights"
            hint = 'name the methods in place of it, such as ["GET /a", "POST /a"]'
            file = unit.function.root / FILE
            raise ProjectError(f"{file}: functions.{unit.function.name}.route: {reason}", hint)


def _stage(deployment: Deployment, units: list[Unit]) -> Resource:
    """It waits for the routes that it limits: API Gateway knows no settings of a route that is not there."""
    limited = [(route, each.function.throttle) for each in units for route in each.function.routes]
    settings = {
        str(route): {"ThrottlingRateLimit": throttle.rate, "ThrottlingBurstLimit": throttle.burst}
        for route, throttle in limited
        if throttle
    }
    awaited = [routes.of_route("HttpRoute", route) for route, throttle in limited if throttle]
    stage = resource(
        "ApiGatewayV2::Stage",
        ApiId=ref("HttpApi"),
        StageName=deployment.project.stage or _DEFAULT,
        AutoDeploy=True,
        **({"RouteSettings": settings} if settings else {}),
    )
    return {**({"DependsOn": awaited} if awaited else {}), **stage}
