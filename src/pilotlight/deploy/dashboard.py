"""One dashboard: the state of the alarms, what comes in by the gateways, and a row for each function.

Widgets: docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html.
"""

import json
from collections.abc import Iterator

from pilotlight.deploy import alarms, names
from pilotlight.deploy.cloudformation import Resource, resource, sub
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.function.metrics import NAMESPACE

_WIDTH, _HEIGHT, _LOW = 24, 6, 3  # of the grid, of a graph, of the row of alarms
_THIRD = _WIDTH // 3
_PERCENTILES = ("p50", "p90", "p99")
_ALARMS = 100  # of one widget, at most

_Metric = list[object]


def resources(deployment: Deployment) -> dict[str, Resource]:
    """The dashboard; none where the settings want none."""
    if not deployment.project.deploy.dashboard:
        return {}
    body = json.dumps({"widgets": list(_placed(list(_rows(deployment))))}, separators=(",", ":"))
    name = names.stack(deployment.project.name, deployment.stage)
    return {"Dashboard": resource("CloudWatch::Dashboard", DashboardName=name, DashboardBody=sub(body))}


def _placed(rows: list[list[Resource]]) -> Iterator[Resource]:
    """Each widget with its place: rows below one another, widgets of a row side by side."""
    top = 0
    for row in rows:
        left = 0
        for widget in row:
            yield {**widget, "x": left, "y": top}
            left += widget["width"]
        top += max(widget["height"] for widget in row)


def _rows(deployment: Deployment) -> Iterator[list[Resource]]:
    arns = [f"${{{name}.Arn}}" for name in alarms.ids(deployment)]
    for first in range(0, len(arns), _ALARMS):
        shown = {"title": "Alarms", "alarms": arns[first : first + _ALARMS]}
        yield [{"type": "alarm", "width": _WIDTH, "height": _LOW, "properties": shown}]
    fronts = {unit.function.front for unit in deployment.units if unit.function.routes}
    if "http" in fronts:
        yield _gateway("HTTP API", ["ApiId", "${HttpApi}"], ("Count", "4xx", "5xx"))
    if "rest" in fronts:
        stage = ["ApiName", names.stack(deployment.project.name, deployment.stage)]
        yield _gateway("REST API", stage, ("Count", "4XXError", "5XXError"))
    for unit in deployment.units:
        yield _function(deployment, unit)
        if unit.function.metrics:
            yield _own_metrics(deployment, unit)


def _gateway(title: str, dimensions: list[str], counts: tuple[str, ...]) -> list[Resource]:
    """docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html and
    .../api-gateway-metrics-and-dimensions.html."""
    counted: list[_Metric] = [["AWS/ApiGateway", name, *dimensions, {"stat": "Sum"}] for name in counts]
    return [
        _graph(f"{title}: requests and errors", counted),
        _graph(f"{title}: latency (ms)", _percentiles("AWS/ApiGateway", "Latency", *dimensions)),
        _graph(
            f"{title}: latency of functions (ms)", _percentiles("AWS/ApiGateway", "IntegrationLatency", *dimensions)
        ),
    ]


def _function(deployment: Deployment, unit: Unit) -> list[Resource]:
    name, about = unit.function.name, ["FunctionName", names.function(unit.function, deployment.stage)]
    counts: list[_Metric] = [
        ["AWS/Lambda", metric, *about, {"stat": "Sum"}] for metric in ("Invocations", "Errors", "Throttles")
    ]
    if deployment.project.deploy.alarms and alarms.is_recorded(unit):
        counts.append([*alarms.lost(deployment, unit), {"stat": "Sum", "label": "Records lost"}])
    at_once: list[_Metric] = [["AWS/Lambda", "ConcurrentExecutions", *about, {"stat": "Maximum"}]]
    if unit.function.provisioned:
        alias = ["Resource", f"{about[1]}:{names.ALIAS}"]
        use = ["ProvisionedConcurrentExecutions", "ProvisionedConcurrencySpilloverInvocations"]
        at_once += [["AWS/Lambda", metric, *about, *alias, {"stat": "Maximum"}] for metric in use]
    return [
        _graph(f"{name}: invocations", counts),
        _graph(f"{name}: duration (ms)", _percentiles("AWS/Lambda", "Duration", *about)),
        _graph(f"{name}: environments at once", at_once),
    ]


def _own_metrics(deployment: Deployment, unit: Unit) -> list[Resource]:
    """Of what the function itself tells of each invocation: `function/metrics.py`."""
    name, about = unit.function.name, ["Function", names.function(unit.function, deployment.stage)]
    starts: list[_Metric] = [
        [NAMESPACE, "ColdStart", *about, {"stat": "Sum", "label": "cold starts"}],
        [NAMESPACE, "Errors", *about, {"stat": "Sum", "label": "errors and answers from 500 on"}],
    ]
    return [
        _graph(f"{name}: cold starts, errors", starts),
        _graph(f"{name}: until answered (ms)", _percentiles(NAMESPACE, "Duration", *about)),
        _graph(f"{name}: init (ms)", _percentiles(NAMESPACE, "InitDuration", *about)),
    ]


def _percentiles(namespace: str, metric: str, *dimensions: str) -> list[_Metric]:
    return [[namespace, metric, *dimensions, {"stat": each, "label": each}] for each in _PERCENTILES]


def _graph(title: str, metrics: list[_Metric]) -> Resource:
    properties = {"title": title, "region": "${AWS::Region}", "view": "timeSeries", "period": alarms.MINUTE}
    return {
        "type": "metric",
        "width": _THIRD,
        "height": _HEIGHT,
        "properties": {**properties, "metrics": metrics},
    }
