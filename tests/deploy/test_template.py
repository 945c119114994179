"""What a template holds. Whether CloudFormation would take it is asked in test_template_lint; roles in test_roles."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modes import MODES, of_example, of_kind, of_mode
from units import DIGEST, HANDLER, artifact, deployment, service

from pilotlight import limits
from pilotlight.deploy import names, routes
from pilotlight.deploy.template import template
from pilotlight.errors import ProjectError
from pilotlight.function import cors
from pilotlight.function.table import Address, parse
from pilotlight.project import Route

TAGS = [{"Key": "pilotlight:service", "Value": "vision"}]
QUIET = "[deploy]\nalarms = false\ndashboard = false\n"


def test_the_whole_template_of_a_function_behind_an_http_api(tmp_path: Path) -> None:
    project = service(tmp_path / "vision", QUIET, qa=HANDLER)
    made = template(deployment(project))
    (version,) = of_kind(made, "Lambda::Version")
    (route,) = of_kind(made, "ApiGatewayV2::Route")
    assert made == {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "vision",
        "Metadata": {"Pilotlight": "1.2.3"},
        "Resources": {
            "QaLogs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": "/aws/lambda/vision--qa", "RetentionInDays": 30, "Tags": TAGS},
                "DeletionPolicy": "Delete",
                "UpdateReplacePolicy": "Delete",
            },
            "QaFunction": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "FunctionName": "vision--qa",
                    "PackageType": "Zip",
                    "Code": {
                        "S3Bucket": {"Fn::Sub": "pilotlight-artifacts-${AWS::AccountId}-${AWS::Region}"},
                        "S3Key": f"vision/zips/{DIGEST.removeprefix('sha256:')}.zip",
                    },
                    "Runtime": "python3.13",
                    "Handler": "inference/qa.handler",
                    "Description": f"vision qa {version.removeprefix('QaVersion')}",
                    "Role": {"Fn::GetAtt": ["QaRole", "Arn"]},
                    "Architectures": ["x86_64"],
                    "MemorySize": 1769,
                    "Timeout": 30,
                    "EphemeralStorage": {"Size": 512},
                    "Environment": {"Variables": {}},
                    "LoggingConfig": {"LogFormat": "Text", "LogGroup": {"Ref": "QaLogs"}},
                    "SnapStart": {"ApplyOn": "None"},
                    "Tags": TAGS,
                },
            },
            version: {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "QaFunction"}}},
            "QaAlias": {
                "Type": "AWS::Lambda::Alias",
                "Properties": {
                    "Name": "live",
                    "FunctionName": {"Ref": "QaFunction"},
                    "FunctionVersion": {"Fn::GetAtt": [version, "Version"]},
                },
            },
            "QaEvents": {
                "DependsOn": ["QaAlias"],
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {
                    "FunctionName": {"Ref": "QaFunction"},
                    "Qualifier": "live",
                    "MaximumRetryAttempts": 2,
                    "MaximumEventAgeInSeconds": 21600,
                },
            },
            "QaRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"Service": "lambda.amazonaws.com"},
                                "Action": "sts:AssumeRole",
                            }
                        ],
                    },
                    "Policies": [
                        {
                            "PolicyName": "function",
                            "PolicyDocument": {
                                "Version": "2012-10-17",
                                "Statement": [
                                    {
                                        "Effect": "Allow",
                                        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                                        "Resource": {"Fn::GetAtt": ["QaLogs", "Arn"]},
                                    }
                                ],
                            },
                        }
                    ],
                    "Tags": TAGS,
                },
            },
            "HttpApi": {
                "Type": "AWS::ApiGatewayV2::Api",
                "Properties": {"Name": "vision", "ProtocolType": "HTTP", "Tags": {"pilotlight:service": "vision"}},
            },
            "QaHttpIntegration": {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": "HttpApi"},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": {"Ref": "QaAlias"},
                    "PayloadFormatVersion": "2.0",
                },
            },
            "QaHttpPermission": {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "Action": "lambda:InvokeFunction",
                    "FunctionName": {"Ref": "QaAlias"},
                    "Principal": "apigateway.amazonaws.com",
                    "SourceArn": {
                        "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*"
                    },
                },
            },
            route: {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": "HttpApi"},
                    "RouteKey": "POST /qa",
                    "AuthorizationType": "NONE",
                    "Target": {"Fn::Sub": "integrations/${QaHttpIntegration}"},
                },
            },
            "HttpStage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {
                    "ApiId": {"Ref": "HttpApi"},
                    "StageName": "$default",
                    "AutoDeploy": True,
                    "Tags": {"pilotlight:service": "vision"},
                },
            },
        },
        "Outputs": {
            "QaFunctionName": {"Value": {"Ref": "QaFunction"}},
            "HttpApiUrl": {"Value": {"Fn::Sub": "${HttpApi.ApiEndpoint}"}},
            "QaUrl": {"Description": "POST /qa", "Value": {"Fn::Sub": "${HttpApi.ApiEndpoint}/qa"}},
        },
    }


@pytest.mark.parametrize("mode", MODES)
def test_the_same_deployment_is_the_same_text(mode: str, tmp_path: Path) -> None:
    first, second = (json.dumps(template(of_mode(mode, tmp_path / each))) for each in ("first", "second"))
    assert first == second


# versions


def version_of(folder: Path, toml: str, **artifact_fields: Any) -> str:
    made = deployment(service(folder / "vision", 'name = "vision"\n' + toml))
    units = tuple(each._replace(artifact=each.artifact._replace(**artifact_fields)) for each in made.units)
    (version,) = of_kind(template(made._replace(units=units)), "Lambda::Version")
    return version


@pytest.mark.parametrize(
    ("toml", "artifact_fields"),
    [
        ("", {"digest": "sha256:" + "f" * 64}),
        ("[defaults]\nmemory = 512\n", {}),
        ("[defaults]\nsnapstart = true\n", {}),
        ('[defaults]\nenvironment = { LOG_LEVEL = "info" }\n', {}),
        ("[defaults]\nrecords = true\n", {}),
    ],
)
def test_code_and_configuration_make_a_new_version(toml: str, artifact_fields: Any, tmp_path: Path) -> None:
    assert version_of(tmp_path / "new", toml, **artifact_fields) != version_of(tmp_path / "old", "")


@pytest.mark.parametrize(
    "toml",
    [
        "[defaults]\nconcurrency = 5\n",
        "[defaults]\nprovisioned = 2\n",
        "[defaults]\nretries = 0\n",
        '[functions.qa]\nroute = "GET /other"\n',
        '[deploy]\ntags = { team = "search" }\nlog_days = 90\n',
    ],
)
def test_what_lambda_has_no_version_of_makes_none(toml: str, tmp_path: Path) -> None:
    assert version_of(tmp_path / "new", toml) == version_of(tmp_path / "old", "")


# variables


def variables(made: Mapping[str, Any], function: str = "QaFunction") -> dict[str, Any]:
    found: dict[str, Any] = made["Resources"][function]["Properties"]["Environment"]["Variables"]
    return found


def test_a_function_finds_its_tables_as_on_this_machine(tmp_path: Path) -> None:
    found = variables(template(of_mode("tables", tmp_path)))
    assert found == {
        "PILOTLIGHT_TABLE_LABELS": "dynamodb://labels-2026-beta?key=id&expires=until",
        "PILOTLIGHT_TABLE_RECORDS": "dynamodb://vision-records-beta?key=primary_key&expires=expires",
        "PILOTLIGHT_TABLE_VECTORS": "dynamodb://vision-vectors-beta?key=word",
    }
    assert parse(found["PILOTLIGHT_TABLE_VECTORS"]) == Address("dynamodb", "vision-vectors-beta", "word")


def test_a_mirrored_model_is_fetched_where_it_is_mirrored(tmp_path: Path) -> None:
    found = variables(template(of_mode("EFS", tmp_path)))
    assert found == {
        "PILOTLIGHT_CACHE": "/mnt/models",
        "PILOTLIGHT_MODEL": {
            "Fn::Sub": f"s3://pilotlight-artifacts-${{AWS::AccountId}}-${{AWS::Region}}/vision/models/{'89abcdef' * 8}"
        },
    }


def test_a_dollar_sign_of_a_variable_stays_one(tmp_path: Path) -> None:
    assert variables(template(of_mode("variables", tmp_path)))["PATTERN"] == "${a}"


def test_behind_a_rest_api_an_endpoint_gives_the_headers_of_cors(tmp_path: Path) -> None:
    assert variables(template(of_mode("rest with routes", tmp_path / "rest"))) == {
        cors.VARIABLE: '{"origins":["https://example.com","https://example.org"],"expose":["x-amzn-requestid"],'
        '"credentials":true}'
    }
    assert variables(template(of_mode("http with cors", tmp_path / "http"))) == {}


# fronts


def outputs(made: Mapping[str, Any]) -> dict[str, object]:
    return {name: each["Value"].get("Fn::Sub") for name, each in made["Outputs"].items() if "Url" in name}


def body(made: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["Resources"]["RestApi"]["Properties"]["Body"]
    return found


def test_each_route_of_each_front_has_its_url(tmp_path: Path) -> None:
    host = "https://${RestApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${RestStage}"
    assert outputs(template(of_mode("rest with routes", tmp_path / "rest"))) == {
        "RestApiUrl": host,
        "QaUrl": f"{host}/",
        "QaUrl2": f"{host}/a/{{b}}",
        "QaUrl3": f"{host}/a/{{b}}/{{c+}}",
        "QaUrl4": f"{host}/a",
    }
    assert outputs(template(of_mode("http with a stage", tmp_path / "http"))) == {
        "HttpApiUrl": "${HttpApi.ApiEndpoint}/v1",
        "QaUrl": "${HttpApi.ApiEndpoint}/v1/qa",
    }
    assert outputs(template(of_mode("url", tmp_path / "url"))) == {"QaUrl": "${QaUrl.FunctionUrl}qa"}
    assert outputs(template(of_mode("called by the Invoke API alone", tmp_path / "none"))) == {}


def test_what_streams_says_so(tmp_path: Path) -> None:
    url = template(of_mode("url with a stream", tmp_path / "url"))["Resources"]["TextgenUrl"]["Properties"]
    assert url["InvokeMode"] == "RESPONSE_STREAM"
    rest = body(template(of_mode("rest with a stream", tmp_path / "rest")))
    assert rest["paths"]["/textgen"]["post"]["x-amazon-apigateway-integration"] == {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "uri": {
            "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2021-11-15/functions/"
            "${TextgenAlias}/response-streaming-invocations"
        },
        "responseTransferMode": "STREAM",
        "timeoutInMillis": 900_000,
    }


def test_who_may_call_a_url(tmp_path: Path) -> None:
    of_anyone = of_kind(template(of_mode("url", tmp_path / "open")), "Lambda::Permission")
    assert {name: each["Properties"] for name, each in of_anyone.items()} == {
        "QaUrlPermission": {
            "Action": "lambda:InvokeFunctionUrl",
            "FunctionName": {"Ref": "QaAlias"},
            "Principal": "*",
            "FunctionUrlAuthType": "NONE",
        },
        "QaUrlInvokePermission": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": "QaAlias"},
            "Principal": "*",
            "InvokedViaFunctionUrl": True,
        },
    }
    signed = template(of_mode("url with iam", tmp_path / "iam"))
    assert of_kind(signed, "Lambda::Permission") == {}
    assert signed["Resources"]["QaUrl"]["Properties"]["AuthType"] == "AWS_IAM"


def test_cors_as_each_front_takes_it(tmp_path: Path) -> None:
    both = {
        "AllowOrigins": ["https://example.com", "https://example.org"],
        "AllowHeaders": ["content-type", "x-api-key"],
        "ExposeHeaders": ["x-amzn-requestid"],
        "MaxAge": 3600,
        "AllowCredentials": True,
    }
    api = template(of_mode("http with cors", tmp_path / "http"))["Resources"]["HttpApi"]["Properties"]
    assert api["CorsConfiguration"] == {**both, "AllowMethods": ["GET", "POST", "OPTIONS"]}
    url = template(of_mode("url with cors", tmp_path / "url"))["Resources"]["QaUrl"]["Properties"]
    assert url["Cors"] == {**both, "AllowMethods": ["GET", "POST"]}


def test_preflights_of_a_rest_api_answer_each_origin(tmp_path: Path) -> None:
    made = template(of_mode("rest with routes", tmp_path))
    paths = body(made)["paths"]
    assert {path for path, item in paths.items() if "options" in item} == {"/", "/a/{b}", "/a/{b}/{c+}", "/a"}
    answer = paths["/"]["options"]["x-amazon-apigateway-integration"]["responses"]["default"]
    assert answer == {
        "statusCode": "204",
        "responseParameters": {
            "method.response.header.Access-Control-Allow-Origin": "'https://example.com'",
            "method.response.header.Access-Control-Allow-Methods": "'GET,POST,OPTIONS'",
            "method.response.header.Access-Control-Allow-Headers": "'content-type,x-api-key'",
            "method.response.header.Access-Control-Max-Age": "'3600'",
            "method.response.header.Vary": "'Origin'",
            "method.response.header.Access-Control-Allow-Credentials": "'true'",
        },
        "responseTemplates": {
            "application/json": '#set($origin = $input.params().header.get("origin"))\n'
            '#if(!$origin)\n  #set($origin = $input.params().header.get("Origin"))\n#end\n'
            '#if($origin == "https://example.org")\n'
            "  #set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)\n#end\n"
        },
    }


def test_the_whole_rest_api_is_one_document(tmp_path: Path) -> None:
    toml = (
        '[cors]\norigins = ["https://example.com"]\n[usage_plans.all]\nkeys = ["acme"]\n[functions.qa]\nauth = "iam"\n'
        'api_key = true\nbinary_media_types = ["image/*"]\nroute = "ANY /a/{b+}"\n'
    )
    made = template(deployment(service(tmp_path / "vision", QUIET + toml, qa=HANDLER)))
    [operation] = [{"name": "b", "in": "path", "required": True, "schema": {"type": "string"}}]
    api = made["Resources"]["RestApi"]["Properties"]
    path = api["Body"]["paths"].pop("/a/{b+}")
    assert path["options"]["parameters"] == [operation]
    assert "security" not in path["options"]
    assert path["x-amazon-apigateway-any-method"] == {
        "parameters": [operation],
        "security": [{"api_key": [], "sigv4": []}],
        "responses": {"200": {"description": "what the function answers"}},
        "x-amazon-apigateway-integration": {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": {
                "Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${QaAlias}"
                "/invocations"
            },
        },
    }
    from_example = {"gatewayresponse.header.Access-Control-Allow-Origin": "'https://example.com'"}
    assert api == {
        "Name": "vision",
        "EndpointConfiguration": {"Types": ["REGIONAL"]},
        "Parameters": {"endpointConfigurationTypes": "REGIONAL"},
        "Mode": "overwrite",
        "FailOnWarnings": True,
        "Body": {
            "openapi": "3.0.1",
            "info": {"title": "vision", "version": "1"},
            "paths": {},
            "components": {
                "securitySchemes": {
                    "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
                    "sigv4": {
                        "type": "apiKey",
                        "name": "Authorization",
                        "in": "header",
                        "x-amazon-apigateway-authtype": "awsSigv4",
                    },
                }
            },
            "x-amazon-apigateway-binary-media-types": ["image/*"],
            "x-amazon-apigateway-gateway-responses": {
                "DEFAULT_4XX": {"responseParameters": from_example},
                "DEFAULT_5XX": {"responseParameters": from_example},
            },
        },
        "Tags": TAGS,
    }


def deployed(folder: Path, route: str, name: str = "qa") -> str:
    toml = f'[functions.{name}]\nfront = "rest"\nroute = {route}\n'
    made = template(deployment(service(folder / "vision", toml, **{name: HANDLER})))
    [found] = of_kind(made, "ApiGateway::Deployment")
    return found


def test_a_renamed_parameter_and_a_removed_route_are_deployed(tmp_path: Path) -> None:
    routes = ('["GET /a/{id}", "GET /b"]', '["GET /a/{key}", "GET /b"]', '["GET /a/{key}"]')
    first, renamed, removed = (deployed(tmp_path / str(number), route) for number, route in enumerate(routes))
    assert len({first, renamed, removed}) == 3
    assert deployed(tmp_path / "again", routes[0]) == first


def test_another_function_behind_the_same_logical_id_is_deployed(tmp_path: Path) -> None:
    """The document names KimCnnAlias for both."""
    names = [deployed(tmp_path / name, '"GET /a"', name) for name in ("kim_cnn", "KimCnn")]
    assert len(set(names)) == 2


def test_keys_and_plans_of_a_rest_api(tmp_path: Path) -> None:
    made = template(of_mode("rest with keys", tmp_path))
    assert of_kind(made, "ApiGateway::UsagePlan")["UsagePlanPartners"]["Properties"] == {
        "UsagePlanName": "vision-partners",
        "ApiStages": [{"ApiId": {"Ref": "RestApi"}, "Stage": {"Ref": "RestStage"}}],
        "Throttle": {"RateLimit": 10.0, "BurstLimit": 5},
        "Quota": {"Limit": 1000, "Period": "WEEK"},
        "Tags": TAGS,
    }
    assert of_kind(made, "ApiGateway::UsagePlanKey")["PlannedKeyBigCorp"]["Properties"] == {
        "KeyId": {"Ref": "ApiKeyBigCorp"},
        "KeyType": "API_KEY",
        "UsagePlanId": {"Ref": "UsagePlanPartners"},
    }
    assert all("Value" not in each["Properties"] for each in of_kind(made, "ApiGateway::ApiKey").values())
    assert made["Outputs"]["ApiKeyBigCorpId"] == {"Description": "big-corp", "Value": {"Ref": "ApiKeyBigCorp"}}


def test_limits_of_routes(tmp_path: Path) -> None:
    rest = template(of_mode("rest with throttles and a stage", tmp_path / "rest"))["Resources"]["RestStage"]
    limit = {"ThrottlingRateLimit": 10.0, "ThrottlingBurstLimit": 5}
    assert rest["Properties"]["StageName"] == "v1"
    assert rest["Properties"]["MethodSettings"] == [
        {"ResourcePath": "/", "HttpMethod": "GET", **limit},
        {"ResourcePath": "/~1a~1{b}", "HttpMethod": "ANY", **limit},
    ]
    http = template(of_mode("http with throttles", tmp_path / "http"))["Resources"]["HttpStage"]
    assert http["Properties"]["RouteSettings"] == {"POST /qa": {"ThrottlingRateLimit": 10.5, "ThrottlingBurstLimit": 5}}


def test_a_changed_rest_api_is_deployed_anew(tmp_path: Path) -> None:
    modes = ("rest", "rest with iam", "rest with cors of one")
    made = [of_kind(template(of_mode(mode, tmp_path / mode)), "ApiGateway::Deployment") for mode in modes]
    assert len({name for each in made for name in each}) == len(modes)


# tables


def test_tables_stay_where_that_is_asked_for(tmp_path: Path) -> None:
    kept = template(of_mode("records that are kept", tmp_path / "kept"))["Resources"]["RecordsTable"]
    assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("Retain", "Retain")
    gone = template(of_mode("records", tmp_path / "gone"))["Resources"]["RecordsTable"]
    assert gone == {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": "vision-records-beta",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "primary_key", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "primary_key", "KeyType": "HASH"}],
            "SSESpecification": {"SSEEnabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
            "Tags": [*TAGS, {"Key": "pilotlight:stage", "Value": "beta"}],
        },
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
    }


def test_two_stages_share_no_name() -> None:
    named = ("FunctionName", "TableName", "LogGroupName", "UsagePlanName", "DashboardName", "RoleName", "AlarmName")
    first, second = (
        {
            value
            for each in template(of_example("question_answering", stage=stage))["Resources"].values()
            for key, value in each["Properties"].items()
            if key in named and isinstance(value, str)
        }
        for stage in ("", "beta")
    )
    assert len(first) == len(second) == 8  # three functions and their logs, the table, the dashboard
    assert first & second == set()


SEGMENTS = st.from_regex(r"[A-Za-z0-9._~-]{1,90}|\\{[a-z]{1,3}\\}", fullmatch=True)
ROUTES = st.builds(
    lambda method, segments: Route(method, "/" + "/".join(segments)),
    st.sampled_from(["GET", "POST", "ANY"]),
    st.lists(SEGMENTS, max_size=6),
)


@given(ROUTES, ROUTES)
def test_a_route_has_a_logical_id_of_its_own(first: Route, second: Route) -> None:
    ids = [routes.of_route("HttpRoute", each) for each in (first, second)]
    assert all(re.fullmatch("[A-Za-z0-9]{1,255}", each) for each in ids)
    assert (ids[0] == ids[1]) or first != second
    assert len({each[-8:] for each in ids}) == len({each.shape for each in (first, second)})


def test_a_plan_and_a_key_may_be_called_alike(tmp_path: Path) -> None:
    toml = '[usage_plans.key-mobile]\nkeys = ["mobile"]\n[functions.qa]\napi_key = true\n'
    made = template(deployment(service(tmp_path / "vision", toml)))
    kinds = ("UsagePlan", "ApiKey", "UsagePlanKey")
    assert [len(of_kind(made, f"ApiGateway::{kind}")) for kind in kinds] == [1, 1, 1]


# what is refused


def refused(folder: Path, toml: str, **sources: str) -> tuple[str, str]:
    made = deployment(service(folder / "vision", toml, **sources))
    with pytest.raises(ProjectError) as error:
        template(made)
    return str(error.value).replace(str(folder), "FOLDER"), error.value.hint


def test_variables_with_those_of_pilotlight_fit(tmp_path: Path) -> None:
    value = "x" * (limits.ENVIRONMENT_VARIABLES - len('{"TEXT":""}'))
    assert refused(tmp_path, f'[functions.qa]\nrecords = true\nenvironment = {{ TEXT = "{value}" }}\n') == (
        "FOLDER/vision/pilotlight.toml: functions.qa.environment: with those of Pilotlight, they take 4183 bytes as "
        "JSON, and Lambda allows 4096",
        "move what is long into a file of the project",
    )


def test_environments_that_take_several_invocations_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "[functions.qa]\nenvironment_concurrency = 4\n") == (
        "FOLDER/vision/pilotlight.toml: functions.qa.environment_concurrency: only environments of Lambda Managed "
        "Instances take several invocations at once, and this deploys none",
        "leave it out: Lambda starts as many environments as it needs",
    )


def test_binary_media_types_are_those_of_the_whole_rest_api(tmp_path: Path) -> None:
    toml = '[functions.caption]\nbinary_media_types = ["image/*"]\n[functions.qa]\nfront = "rest"\n'
    assert refused(tmp_path, toml, caption=HANDLER, qa=HANDLER) == (
        "FOLDER/vision/pilotlight.toml: functions.qa.binary_media_types: a REST API has one list of them, and that of "
        "caption is another",
        "set it in [defaults], for all functions behind the REST API",
    )


@pytest.mark.parametrize(
    ("route", "reason", "hint"),
    [
        (
            '"GET /a/"',
            "'GET /a/': a REST API has no path with a / at its end",
            'write segments of letters, digits, ".", "_", ":" and "-", or set front = "http"',
        ),
        (
            '"GET /a+b"',
            "'GET /a+b': 'a+b' is no segment of a REST API's path",
            'write segments of letters, digits, ".", "_", ":" and "-", or set front = "http"',
        ),
        (
            '["GET /a/{b}", "GET /a/{c}/d"]',
            "'GET /a/{c}/d': another route has {b} in the place of {c}, and a REST API has one name for both",
            "give the parameter one name in both routes",
        ),
        (
            '"OPTIONS /a"',
            "'OPTIONS /a': with [cors] a REST API answers OPTIONS itself",
            "leave the route out, or [cors]",
        ),
    ],
)
def test_routes_that_a_rest_api_cannot_have(route: str, reason: str, hint: str, tmp_path: Path) -> None:
    toml = f'[cors]\norigins = ["*"]\n[functions.qa]\nfront = "rest"\nroute = {route}\n'
    assert refused(tmp_path, toml) == (f"FOLDER/vision/pilotlight.toml: functions.qa.route: {reason}", hint)


@pytest.mark.parametrize("method", ["ANY", "OPTIONS"])
def test_a_route_that_would_ask_preflights_for_a_signature(method: str, tmp_path: Path) -> None:
    toml = f'[cors]\norigins = ["*"]\n[functions.qa]\nroute = "{method} /a"\n'
    assert template(deployment(service(tmp_path / "open" / "vision", toml, qa=HANDLER)))["Resources"]["HttpStage"]
    assert refused(tmp_path, f'{toml}auth = "iam"\n') == (
        f"FOLDER/vision/pilotlight.toml: functions.qa.route: '{method} /a': with [cors] and auth = 'iam' it would "
        "refuse preflights",
        'name the methods in place of it, such as ["GET /a", "POST /a"]',
    )


def test_functions_whose_names_differ_by_what_logical_ids_leave_out(tmp_path: Path) -> None:
    hint = "rename one of them, so that they differ in more than _, - and the case of letters"
    assert refused(tmp_path, "", kim_cnn=HANDLER, KimCnn=HANDLER) == (
        "FOLDER/vision/pilotlight.toml: the functions KimCnn and kim_cnn are one to CloudFormation",
        hint,
    )
    assert refused(tmp_path / "tables", "[tables.a-1]\n[tables.a1]\n") == (
        "FOLDER/vision/pilotlight.toml: the tables a-1 and a1 are one to CloudFormation",
        hint,
    )


def test_a_function_named_like_something_of_the_templates_own(tmp_path: Path) -> None:
    assert refused(tmp_path, "", http_api=HANDLER) == (
        "FOLDER/vision/inference/http_api.py: the output HttpApiUrl is the URL of the whole API, and would be that of "
        "http_api",
        "rename the file",
    )
    assert refused(tmp_path / "rollout", '[deploy]\nrollout = "canary"\n', rollout=HANDLER) == (
        "FOLDER/vision/pilotlight.toml: two resources of its template would be called RolloutRole",
        "rename the file in inference/, the table or the usage plan that it is named for",
    )


def test_a_file_that_is_no_python_is_not_deployed(tmp_path: Path) -> None:
    message, _ = refused(tmp_path, "", qa="def handler(:\n")
    assert message.startswith("FOLDER/vision/inference/qa.py: ")


def test_a_service_that_is_too_large_is_to_be_divided(tmp_path: Path) -> None:
    routes = ", ".join(f'"GET /r{number}"' for number in range(limits.STACK_RESOURCES))
    message, hint = refused(tmp_path, f"[functions.qa]\nroute = [{routes}]\n")
    assert message.endswith("and CloudFormation allows 500")
    assert hint == "divide the functions among several services"


# names


def test_names_of_a_stage(tmp_path: Path) -> None:
    function = service(tmp_path / "vision").functions[0]
    assert names.stack("vision", "") == "vision"
    assert names.stack("vision", "beta") == "vision-beta"
    assert names.function(function, "") == function.key == "vision--qa"
    assert names.function(function, "beta") == "vision-beta--qa"
    assert names.bucket("111122223333", "eu-west-1") == "pilotlight-artifacts-111122223333-eu-west-1"
    assert names.image(artifact(function, "image")) == (
        f"${{AWS::AccountId}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/pilotlight/vision@{DIGEST}"
    )
    assert names.model_prefix("vision", "sha256:0123") == "vision/models/0123"


@pytest.mark.parametrize("stage", ["a b", "-beta", "beta-", "a--b", "beta/1", "ä"])
def test_a_stage_can_be_part_of_every_name(stage: str) -> None:
    with pytest.raises(ProjectError, match="this is no name for a stage"):
        names.stack("vision", stage)


def test_a_stage_whose_names_are_too_long(tmp_path: Path) -> None:
    function = service(tmp_path / "vision").functions[0]
    with pytest.raises(ProjectError, match="has 65 characters, and Lambda allows 64"):
        names.function(function, "b" * 54)
    with pytest.raises(ProjectError, match="has 129 characters, and CloudFormation allows 128"):
        names.stack("vision", "b" * 122)
