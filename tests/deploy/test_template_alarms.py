"""Alarms, the dashboard and scaling in whole templates."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from modes import of_kind
from wholes import deployment, direct, whole

from pilotlight.deploy import alarms, scaling
from pilotlight.errors import ProjectError, TableError
from pilotlight.function import records

RECORDED = "[functions.show]\nrecords = true\nlatency_alarm = 800\n"
SENT = 'deploy.alarm_email = "ops@example.com"\n'


def properties(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = made["Resources"][name]["Properties"]
    return found


def test_alarms_of_a_function(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, RECORDED, "show", "other"))
    per_function = ["OtherErrorsAlarm", "OtherThrottlesAlarm", "ShowErrorsAlarm", "ShowThrottlesAlarm"]
    assert sorted(of_kind(made, "CloudWatch::Alarm")) == sorted(
        [*per_function, "ShowLatencyAlarm", "ShowRecordsLostAlarm"]
    )
    of_function = [{"Name": "FunctionName", "Value": "service--show"}]
    assert properties(made, "ShowErrorsAlarm") | {"Tags": []} == {
        "AlarmDescription": "show raised, took too long or ran out of memory. See: pilotlight logs show",
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": of_function,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": [],
    }
    assert properties(made, "ShowThrottlesAlarm")["MetricName"] == "Throttles"
    slow = properties(made, "ShowLatencyAlarm")
    assert (slow["MetricName"], slow["ExtendedStatistic"], slow["Threshold"]) == ("Duration", "p99", 800)
    assert (slow["DatapointsToAlarm"], slow["EvaluationPeriods"]) == (3, 5)
    assert slow["Dimensions"] == of_function


def test_lost_records_are_counted_in_the_log_of_the_function(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, RECORDED, "show", stage="beta"))
    [(name, counter)] = of_kind(made, "Logs::MetricFilter").items()
    [told] = counter["Properties"]["MetricTransformations"]
    assert (name, counter["Properties"]["LogGroupName"]) == ("ShowRecordsLost", {"Ref": "ShowLogs"})
    alarm = properties(made, "ShowRecordsLostAlarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == (told["MetricNamespace"], told["MetricName"])
    assert (told["MetricNamespace"], told["MetricName"]) == ("Pilotlight/service-beta", "show-records-lost")


class Refusing:
    """A table that takes nothing."""

    def put(self, items: object) -> None:
        raise TableError("storing: no", "")


def test_the_filter_finds_what_a_function_logs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Either phrase is in a line: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html."""
    made = whole(deployment(tmp_path, RECORDED))
    pattern = properties(made, "ShowRecordsLost")["FilterPattern"]
    phrases = [each.removesuffix('"') for each in f" {pattern}".split(' ?"')[1:]]
    assert "".join(f' ?"{each}"' for each in phrases).lstrip() == pattern

    def counted(lines: str) -> list[str]:
        return [line for line in lines.splitlines() if any(phrase in line for phrase in phrases)]

    store = records.Store(Refusing())  # type: ignore[arg-type]
    records.keep(store, "id-1", '{"primary_key": {"S": "id-1"}}', 10)
    assert counted(capfd.readouterr().err) == ["[WARN] the record of id-1 is in this log only: storing: no"]
    records.guarded("id-2", lambda: 1 / 0)
    assert counted(capfd.readouterr().err) == ["[ERROR] recording id-2: ZeroDivisionError: division by zero"]
    records.write("id-3", '{"primary_key": {"S": "id-3"}}')  # as every record is, before it is stored
    os.write(2, b"[WARN] a line of the function's own\n")
    assert counted(capfd.readouterr().err) == []


def test_whom_alarms_are_sent_to(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, f"{SENT}{RECORDED}"))
    assert properties(made, "AlarmsTopic")["Subscription"] == [{"Protocol": "email", "Endpoint": "ops@example.com"}]
    for alarm in of_kind(made, "CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] == [{"Ref": "AlarmsTopic"}]


def test_nobody_to_tell(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, RECORDED))
    assert of_kind(made, "SNS::Topic") == {}
    assert all("AlarmActions" not in each["Properties"] for each in of_kind(made, "CloudWatch::Alarm").values())


def test_no_alarms(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, f"{SENT}deploy.alarms = false\n{RECORDED}"))
    for kind in ("CloudWatch::Alarm", "SNS::Topic", "Logs::MetricFilter"):
        assert of_kind(made, kind) == {}


# The dashboard


def body(made: dict[str, Any]) -> list[dict[str, Any]]:
    text = properties(made, "Dashboard")["DashboardBody"]["Fn::Sub"].replace("${AWS::Region}", "eu-west-1")
    found: list[dict[str, Any]] = json.loads(text)["widgets"]
    return found


def metrics(widget: dict[str, Any]) -> list[str]:
    return [" ".join(each for each in metric if isinstance(each, str)) for metric in widget["properties"]["metrics"]]


def test_the_dashboard(tmp_path: Path) -> None:
    toml = f'{RECORDED}provisioned = 2\n[functions.other]\nfront = "rest"\n'
    made = whole(deployment(tmp_path, toml, "show", "other", stage="beta"))
    assert properties(made, "Dashboard")["DashboardName"] == "service-beta"
    states, *graphs = body(made)
    assert states["properties"]["alarms"] == [f"${{{name}.Arn}}" for name in of_kind(made, "CloudWatch::Alarm")]
    shown = {widget["properties"]["title"]: metrics(widget) for widget in graphs}
    assert shown["show: invocations"] == [
        "AWS/Lambda Invocations FunctionName service-beta--show",
        "AWS/Lambda Errors FunctionName service-beta--show",
        "AWS/Lambda Throttles FunctionName service-beta--show",
        "Pilotlight/service-beta show-records-lost",
    ]
    assert shown["show: duration (ms)"] == ["AWS/Lambda Duration FunctionName service-beta--show"] * 3
    alias = "FunctionName service-beta--show Resource service-beta--show:live"
    assert shown["show: environments at once"] == [
        "AWS/Lambda ConcurrentExecutions FunctionName service-beta--show",
        f"AWS/Lambda ProvisionedConcurrentExecutions {alias}",
        f"AWS/Lambda ProvisionedConcurrencySpilloverInvocations {alias}",
    ]
    assert shown["HTTP API: requests and errors"] == [
        f"AWS/ApiGateway {name} ApiId ${{HttpApi}}" for name in ("Count", "4xx", "5xx")
    ]
    name = properties(made, "RestApi")["Name"]
    assert shown["REST API: requests and errors"] == [
        f"AWS/ApiGateway {each} ApiName {name}" for each in ("Count", "4XXError", "5XXError")
    ]
    assert {widget["properties"]["region"] for widget in graphs} == {"eu-west-1"}


def test_widgets_do_not_overlap(tmp_path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in body(whole(deployment(tmp_path, RECORDED, "a", "b", "show"))):
        columns, rows = (
            range(widget["x"], widget["x"] + widget["width"]),
            range(widget["y"], widget["y"] + widget["height"]),
        )
        own = {(column, row) for column in columns for row in rows}
        assert not own & taken
        assert max(columns) < 24
        taken |= own


def test_a_widget_shows_a_hundred_alarms_at_most(tmp_path: Path) -> None:
    toml = "[defaults]\nrecords = true\nlatency_alarm = 800\n"
    made = whole(deployment(tmp_path, toml, *(f"f{number}" for number in range(26))))
    shown = [widget["properties"]["alarms"] for widget in body(made) if widget["type"] == "alarm"]
    assert [len(each) for each in shown] == [100, 4]
    assert len({arn for each in shown for arn in each}) == 104


def test_a_dashboard_without_alarms_and_none_at_all(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path / "1", f"deploy.alarms = false\n{RECORDED}"))
    assert {widget["type"] for widget in body(made)} == {"metric"}
    assert all("records-lost" not in each for widget in body(made) for each in metrics(widget))
    assert of_kind(whole(deployment(tmp_path / "2", "deploy.dashboard = false\n")), "CloudWatch::Dashboard") == {}


# Provisioned concurrency


def test_environments_that_are_kept_ready(tmp_path: Path) -> None:
    made = whole(deployment(tmp_path, "[functions.show]\nprovisioned = 2\nprovisioned_max = 2\n", "show", "other"))
    assert properties(made, "ShowAlias")["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 2}
    assert "ProvisionedConcurrencyConfig" not in properties(made, "OtherAlias")
    assert of_kind(made, "ApplicationAutoScaling::ScalableTarget") == {}


def test_environments_that_follow_their_use(tmp_path: Path) -> None:
    toml = "[functions.show]\nprovisioned = 2\nprovisioned_max = 8\n"
    made = whole(deployment(tmp_path, toml, "show", "other", stage="beta"))
    [(name, target)] = of_kind(made, "ApplicationAutoScaling::ScalableTarget").items()
    assert {key: each for key, each in target["Properties"].items() if key != "Tags"} == {
        "ServiceNamespace": "lambda",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
        "ResourceId": "function:service-beta--show:live",
        "MinCapacity": 2,
        "MaxCapacity": 8,
    }
    assert direct(made, name) == {"ShowAlias"}
    [policy] = of_kind(made, "ApplicationAutoScaling::ScalingPolicy").values()
    assert policy["Properties"]["ScalingTargetId"] == {"Ref": name}
    tracked = policy["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracked["TargetValue"] == 0.7
    metric = "LambdaProvisionedConcurrencyUtilization"
    assert tracked["PredefinedMetricSpecification"] == {"PredefinedMetricType": metric}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            "provisioned_max = 4",
            "provisioned_max: it is the most environments that are kept ready, and provisioned, the least, is 0",
        ),
        (
            "provisioned = 4\nprovisioned_max = 3",
            "provisioned_max: it is the most environments that are kept ready, and provisioned, the least, is 4",
        ),
        (
            "provisioned = 1\nsnapstart = true",
            "provisioned: Lambda keeps environments ready or restores them from snapshots, and snapstart is true",
        ),
        ("provisioned = 4\nconcurrency = 3", "provisioned: it is 4, and concurrency reserves 3 environments in all"),
        (
            "provisioned = 1\nprovisioned_max = 4\nconcurrency = 3",
            "provisioned_max: it is 4, and concurrency reserves 3 environments in all",
        ),
    ],
)
def test_what_lambda_would_refuse(tmp_path: Path, settings: str, reason: str) -> None:
    made = deployment(tmp_path, f"[functions.show]\n{settings}\n")
    with pytest.raises(ProjectError) as refused:
        scaling.resources(made)
    assert str(refused.value) == f"{made.project.root / 'pilotlight.toml'}: functions.show.{reason}"
    assert refused.value.hint


def test_the_names_of_alarms(tmp_path: Path) -> None:
    made = deployment(tmp_path, RECORDED)
    assert alarms.ids(made) == [*of_kind(whole(made), "CloudWatch::Alarm")]
