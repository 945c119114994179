"""Alarms of what somebody should look at, and whom they are sent to.

A function raises, ends too late or runs out of memory: Lambda counts all of these as errors, and no 400 for a bad
request is one. It is throttled. It is slow, where the settings say what slow is. A record of it could not be stored.
Where nobody calls nothing is wrong, so numbers that are missing are no alarm.
"""

from pilotlight.deploy import names
from pilotlight.deploy.cloudformation import Resource, ref, resource
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.function import record_lines

TOPIC = "AlarmsTopic"
MINUTE = 60  # seconds of one number

# docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html: either phrase
_LOST = f'?"{record_lines.UNSTORED}" ?"{record_lines.UNMADE}"'


def resources(deployment: Deployment) -> dict[str, Resource]:
    """The alarms, what counts lost records, and a topic where there is somebody to tell; none without alarms."""
    settings = deployment.project.deploy
    if not settings.alarms:
        return {}
    topic = {TOPIC: _topic(settings.alarm_email)} if settings.alarm_email else {}
    told = {"AlarmActions": [ref(TOPIC)], "OKActions": [ref(TOPIC)]} if topic else {}
    alarms = [(f"{unit.id}{name}Alarm", each) for unit in deployment.units for name, each in _of(deployment, unit)]
    counted = [unit for unit in deployment.units if is_recorded(unit)]
    return {
        **topic,
        **{f"{unit.id}RecordsLost": _filter(deployment, unit) for unit in counted},
        **{name: resource("CloudWatch::Alarm", **each, **told) for name, each in alarms},
    }


def ids(deployment: Deployment) -> list[str]:
    """The logical ids of the alarms."""
    return [name for name, each in resources(deployment).items() if each["Type"] == "AWS::CloudWatch::Alarm"]


def is_recorded(unit: Unit) -> bool:
    return unit.function.records is not None


def lost(deployment: Deployment, unit: Unit) -> tuple[str, str]:
    """Namespace and name of the metric that counts the records which are in the log only, or nowhere."""
    return f"Pilotlight/{names.stack(deployment.project.name, deployment.stage)}", f"{unit.function.name}-records-lost"


def metric(deployment: Deployment, unit: Unit, name: str, **dimensions: object) -> Resource:
    """One of docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html, of all versions where `dimensions`
    name none."""
    named = {"FunctionName": names.function(unit.function, deployment.stage), **dimensions}
    values = [{"Name": each, "Value": value} for each, value in named.items()]
    return {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": values}


def any_of(counted: Resource, description: str) -> Resource:
    """Properties of an alarm that is on in each minute in which something has been counted."""
    return {
        "AlarmDescription": description,
        **counted,
        "Statistic": "Sum",
        "Period": MINUTE,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def _of(deployment: Deployment, unit: Unit) -> list[tuple[str, Resource]]:
    """Properties of the alarms of one function."""
    name, logs = unit.function.name, f"pilotlight logs {unit.function.name}"
    errors, throttles = metric(deployment, unit, "Errors"), metric(deployment, unit, "Throttles")
    found = [
        ("Errors", any_of(errors, f"{name} raised, took too long or ran out of memory. See: {logs}")),
        ("Throttles", any_of(throttles, f"{name} was called more often than its concurrency, or the account's, lets")),
    ]
    if unit.function.latency_alarm:
        found.append(("Latency", _slow(deployment, unit)))
    if is_recorded(unit):
        namespace, counter = lost(deployment, unit)
        said = f"records of {name} could not be stored, and are in its log only. Store them: pilotlight records --help"
        found.append(("RecordsLost", any_of({"Namespace": namespace, "MetricName": counter}, said)))
    return found


def _slow(deployment: Deployment, unit: Unit) -> Resource:
    """In three minutes of five. The init phase of a cold start is no part of Lambda's Duration."""
    most = unit.function.latency_alarm
    return {
        "AlarmDescription": f"one of 100 invocations of {unit.function.name} takes longer than {most} ms",
        **metric(deployment, unit, "Duration"),
        "ExtendedStatistic": "p99",
        "Period": MINUTE,
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 3,
        "Threshold": most,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _filter(deployment: Deployment, unit: Unit) -> Resource:
    namespace, counter = lost(deployment, unit)
    counted = {"MetricNamespace": namespace, "MetricName": counter, "MetricValue": "1", "DefaultValue": 0}
    return resource(
        "Logs::MetricFilter",
        LogGroupName=ref(f"{unit.id}Logs"),
        FilterPattern=_LOST,
        MetricTransformations=[{**counted, "Unit": "Count"}],
    )


def _topic(email: str) -> Resource:
    """AWS asks that address whether it wants them, and sends nothing before it says so."""
    return resource("SNS::Topic", Subscription=[{"Protocol": "email", "Endpoint": email}])
