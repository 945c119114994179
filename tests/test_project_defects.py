"""Each folder of tests/projects/ has one defect, which is its name."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import ProjectError
from pilotlight.project import load
from pilotlight.settings import Cache, Cors, FunctionSettings, Inputs, Records, Settings, Table, Throttle, UsagePlan

PROJECTS = Path(__file__).parent / "projects"

REFUSED = {
    "jwt-without-an-issuer": (
        "{folder}/pilotlight.toml: functions.qa.auth: it is not said whose tokens are taken",
        "write [jwt] and its settings below it: issuer and audiences",
    ),
    "jwt-behind-rest": (
        "{folder}/pilotlight.toml: functions.qa.auth: only an HTTP API checks tokens, and the front is 'rest'",
        'set front = "http", or auth = "iam"',
    ),
    "jwt-issuer-without-tls": (
        "{folder}/pilotlight.toml: jwt.issuer: expected a URL that begins with https://, without a query, "
        'got "http://login.example.com"',
        "The tokens' `iss`, below which their keys are, at /.well-known/openid-configuration. Example: "
        'issuer = "https://login.example.com"',
    ),
    "jwt-without-audiences": (
        "{folder}/pilotlight.toml: jwt: table missing required field audiences",
        "write [jwt] and its settings below it: issuer and audiences",
    ),
    "log-days-that-cloudwatch-has-not": (
        "{folder}/pilotlight.toml: deploy.log_days: expected one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, "
        "180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, got 31",
        "did you mean 30?",
    ),
    "region-misspelt": (
        '{folder}/pilotlight.toml: deploy.region: expected the name of a region, got "EU West 1"',
        'The region. Without it: --region, else that of the shell or the profile. Example: region = "eu-west-1"',
    ),
    "tag-of-aws": (
        "{folder}/pilotlight.toml: deploy.tags.aws:team: this is no name for a tag",
        "letters, digits, spaces and _ . : / = + - @, 128 at most; aws: and pilotlight: at its beginning are taken",
    ),
    "tags-that-differ-in-case": (
        "{folder}/pilotlight.toml: deploy.tags.Team: it differs from team in case alone, and roles take one of them",
        "leave one of the two out, or give it another name",
    ),
    "tag-of-ours-in-capitals": (
        "{folder}/pilotlight.toml: deploy.tags.Pilotlight:Service: it differs from pilotlight:service in case alone, "
        "and roles take one of them",
        "leave one of the two out, or give it another name",
    ),
    "rollout-misspelt": (
        '{folder}/pilotlight.toml: deploy.rollout: expected one of all-at-once, canary, linear, got "canari"',
        "did you mean 'canary'?",
    ),
    "table-of-items-that-allows-what-none-has": (
        '{folder}/pilotlight.toml: tables.vectors.allow[0]: expected one of get, put, delete, scan, got "read"',
        "The methods of the table that the roles of functions allow on AWS. Without it: all of them; of the "
        "table `records`, that a function whose invocations are recorded stores them, and nothing else. "
        'Example: allow = ["get"]',
    ),
    "network-misspelt": (
        "{folder}/pilotlight.toml: network.natt: there is no such setting",
        "did you mean 'nat'?",
    ),
    "allow-url-of-another-number": (
        '{folder}/pilotlight.toml: inputs.allow_urls: "127.1:80" is no host and port that a URL can have',
        'write them as in "images.lan:8080" or "192.168.0.7:80"',
    ),
    "allow-url-with-a-scheme": (
        "{folder}/pilotlight.toml: inputs.allow_urls[1]: expected a host in lower case and its port, got "
        '"http://images.lan:8080"',
        "Hosts, each with its port, that URLs in requests may name (`ImageUrl`) though they are not public, or have "
        "another port than 80 and 443. Other URLs are fetched from public addresses alone. "
        'Example: allow_urls = ["images.lan:8080"]',
    ),
    "allow-url-without-port": (
        '{folder}/pilotlight.toml: inputs.allow_urls[0]: expected a host in lower case and its port, got "localhost"',
        "Hosts, each with its port, that URLs in requests may name (`ImageUrl`) though they are not public, or have "
        "another port than 80 and 443. Other URLs are fetched from public addresses alone. "
        'Example: allow_urls = ["images.lan:8080"]',
    ),
    "api-key-behind-http": (
        "{folder}/pilotlight.toml: functions.qa.api_key: only a REST API has API keys, and the front is 'http'",
        'set front = "rest", or leave one of the two out',
    ),
    "api-key-in-two-plans": (
        "{folder}/pilotlight.toml: usage_plans.partners.keys: 'mobile' is there in usage_plans.free too",
        "a key is in one usage plan, once",
    ),
    "api-key-without-a-plan": (
        "{folder}/pilotlight.toml: functions.qa.api_key: requests need a key of a usage plan, and there is none",
        'write [usage_plans.NAME] and its keys below it, such as keys = ["mobile"]',
    ),
    "file-named-like-the-folder": (
        "{folder}/inference.py: Python takes this file for the folder inference/ beside it",
        "rename the file",
    ),
    "binary-types-behind-http": (
        "{folder}/pilotlight.toml: functions.qa.binary_media_types: only a REST API has them, and the front is 'http'",
        'set front = "rest", or leave one of the two out',
    ),
    "boolean-for-a-number": (
        "{folder}/pilotlight.toml: functions.qa.memory: expected int, got bool",
        "Memory in MB. Processor time comes with it: one vCPU at 1769. Example: memory = 3008",
    ),
    "cache-folder-relative": (
        '{folder}/pilotlight.toml: cache.folder: expected an absolute path, got "models"',
        "An absolute path, such as where EFS is mounted. Without it, and where this machine has no such folder: /tmp "
        'on Lambda, the machine\'s cache folder here. Example: folder = "/mnt/models"',
    ),
    "cache-size-negative": (
        "{folder}/pilotlight.toml: cache.size: expected int >= 0, got -1",
        "MB that models may take there. What was used longest ago goes first, and nothing that is in use; 0 is as much "
        "as the disk has. Example: size = 20480",
    ),
    "cors-credentials-for-any-origin": (
        '{folder}/pilotlight.toml: cors.credentials: browsers refuse credentials where the allowed origin is "*"',
        "name the origins in cors.origins, or leave credentials out",
    ),
    "cors-method-in-lower-case": (
        "{folder}/pilotlight.toml: cors.methods[1]: expected one of GET, POST, PUT, PATCH, DELETE, HEAD, "
        'OPTIONS, *, got "post"',
        "did you mean 'POST'?",
    ),
    "cors-origin-with-a-path": (
        '{folder}/pilotlight.toml: cors.origins[0]: expected an origin in lower case without a path, or "*", '
        'got "https://example.com/app"',
        'Origins that may call: scheme, host and port, no path; "*" is any. An empty list turns CORS off. '
        'Example: origins = ["https://example.com"]',
    ),
    "dash-in-a-file-name": (
        "{folder}/inference/kim-cnn.py: 'kim-cnn' cannot be the name of a function: it is no Python name",
        "rename it, such as to kim_cnn.py",
    ),
    "date-for-a-text": (
        "{folder}/pilotlight.toml: functions.qa.model: expected str, got date",
        "Folder or file of the model, relative to the project and inside it, or where it is fetched from: "
        "hf://org/name[@revision], s3://bucket/prefix. The function has it as environment variable PILOTLIGHT_MODEL. "
        'Example: model = "models/qa"',
    ),
    "front-like-a-message": (
        '{folder}/pilotlight.toml: functions.qa.front: expected one of http, rest, url, got "rest - at `$.cors`"',
        "What stands before the function: an HTTP API, a REST API or a function URL. Without it: rest with "
        "`binary_media_types` or `api_key`, url when the handler is a generator, else http. "
        'Example: front = "rest"',
    ),
    "front-unknown": (
        '{folder}/pilotlight.toml: functions.qa.front: expected one of http, rest, url, got "graphql"',
        "What stands before the function: an HTTP API, a REST API or a function URL. Without it: rest with "
        "`binary_media_types` or `api_key`, url when the handler is a generator, else http. "
        'Example: front = "rest"',
    ),
    "function-name-too-long": (
        "{folder}/inference/question_answering_over_long_documents_in_german.py: 'function-name-too-long--"
        "question_answering_over_long_documents_in_german' has 72 characters, and Lambda allows 64",
        "shorten the name of the file, or of the service in {folder}/pilotlight.toml",
    ),
    "function-not-a-table": (
        "{folder}/pilotlight.toml: functions.qa: expected table, got int",
        "write [functions.qa] and its settings below it",
    ),
    "function-without-file": (
        "{folder}/pilotlight.toml: functions.answr: no function has that name",
        "did you mean 'answer'?",
    ),
    "functions-not-a-table": (
        "{folder}/pilotlight.toml: functions: expected table, got list",
        "One table a function, named for its file in inference/.",
    ),
    "handler-not-a-name": (
        '{folder}/pilotlight.toml: functions.qa.handler: expected a Python name, got "qa.handler"',
        'The callable in the file that Lambda calls. Example: handler = "predict"',
    ),
    "key-in-the-wrong-table": (
        "{folder}/pilotlight.toml: memory: there is no such setting",
        "'memory' belongs in [defaults] or in [functions.NAME]",
    ),
    "key-like-a-message": (
        "{folder}/pilotlight.toml: cors - at `$.defaults`: there is no such setting",
        "the settings here are name, stage, cors, usage_plans, tables, inputs, records, cache, build, jwt, deploy, "
        "network, defaults, functions",
    ),
    "key-misspelt": (
        "{folder}/pilotlight.toml: functions.qa.memroy: there is no such setting",
        "did you mean 'memory'?",
    ),
    "key-unknown": (
        "{folder}/pilotlight.toml: cors.compression: there is no such setting",
        "the settings here are origins, methods, headers, expose, max_age, credentials",
    ),
    "keyword-as-file-name": (
        "{folder}/inference/class.py: 'class' cannot be the name of a function: it is no Python name",
        "rename it, such as to predict_class.py",
    ),
    "memory-too-small": (
        "{folder}/pilotlight.toml: functions.qa.memory: expected int >= 128, got 64",
        "Memory in MB. Processor time comes with it: one vCPU at 1769. Example: memory = 3008",
    ),
    "model-absolute": (
        '{folder}/pilotlight.toml: defaults.model: "/opt/models/qa" is outside the project',
        'put the model into the project and give its path from there, such as "models/qa", or its URI',
    ),
    "model-outside": (
        '{folder}/pilotlight.toml: functions.qa.model: "../models/qa" is outside the project',
        'put the model into the project and give its path from there, such as "models/qa", or its URI',
    ),
    "model-key-in-upper-case": (
        "{folder}/pilotlight.toml: functions.qa.models.EN-ZH: this is no name for a model",
        "lower-case letters, digits and _, a letter first",
    ),
    "model-scheme-unknown": (
        '{folder}/pilotlight.toml: functions.qa.model: "hff://org/name" is fetched from nowhere',
        "did you mean hf://? write hf://org/name, hf://org/name@revision or s3://bucket/prefix, or a path inside the "
        "project",
    ),
    "model-uri": (
        '{folder}/pilotlight.toml: functions.qa.model: "hf://org/name/extra" is no URI of a model',
        "write hf://org/name, hf://org/name@revision or s3://bucket/prefix, or a path inside the project",
    ),
    "models-outside": (
        '{folder}/pilotlight.toml: functions.qa.models.zh_en: "../zh-en" is outside the project',
        'put the model into the project and give its path from there, such as "models/qa", or its URI',
    ),
    "name-in-upper-case": (
        "{folder}/pilotlight.toml: name: expected lower-case letters, digits and single dashes, a letter "
        'first, got "QA"',
        'What the service is called. Without it: the name of its folder. Example: name = "question-answering"',
    ),
    "name-too-long": (
        '{folder}/pilotlight.toml: name: expected str of length <= 40, got "question-answering-question-'
        'answering-question-answering-x"',
        'What the service is called. Without it: the name of its folder. Example: name = "question-answering"',
    ),
    "no-functions": (
        "{folder}: there are no functions: no file is named inference/*.py",
        "write inference/NAME.py with a handler in it, or start from an example with `pilotlight new`",
    ),
    "not-a-table": (
        "{folder}/pilotlight.toml: cors: expected table, got bool",
        "write [cors] and its settings below it",
    ),
    "not-toml": (
        "{folder}/pilotlight.toml, line 3, column 14: this is not TOML: expected ']' at the end of a table declaration",
        "toml.io/en/v1.0.0 describes the format",
    ),
    "not-utf-8": (
        "{folder}/pilotlight.toml: byte 11 is not UTF-8",
        "save the file as UTF-8",
    ),
    "only-helpers": (
        "{folder}: there are no functions: no file is named inference/*.py",
        "write inference/NAME.py with a handler in it, or start from an example with `pilotlight new`",
    ),
    "records-a-table-of-a-function": (
        "{folder}/pilotlight.toml: functions.qa.records: expected bool, got table",
        "Whether each invocation is recorded: input, output, latency and more, see `[records]`. `pilotlight records` "
        "shows them. The function may use the table `records` then, which need not be set. Example: records = true",
    ),
    "records-in-a-table-with-another-key": (
        '{folder}/pilotlight.toml: tables.records.key: it is the table of records, where this is "primary_key"',
        "leave it out, or give a table of your own another name",
    ),
    "build-for-an-old-python": (
        '{folder}/pilotlight.toml: build.python: expected one of 3.12, 3.13, 3.14, got "3.11"',
        "did you mean '3.14'?",
    ),
    "package-misspelt": (
        '{folder}/pilotlight.toml: functions.qa.package: expected one of auto, zip, image, got "zipp"',
        "did you mean 'zip'?",
    ),
    "records-misspelt": (
        "{folder}/pilotlight.toml: records.redacted: there is no such setting",
        "did you mean 'redact'?",
    ),
    "records-too-small": (
        "{folder}/pilotlight.toml: records.max_size: expected int >= 2048, got 100",
        "Bytes that a record may have; a longer input or output is cut. DynamoDB counts and bills each 1,024. "
        "Example: max_size = 8192",
    ),
    "route-greedy-in-the-middle": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /{path+}/info': {path+} takes all that is left of the path",
        "put it at the end, or leave the + out",
    ),
    "route-in-defaults": (
        "{folder}/pilotlight.toml: defaults.route: there is no such setting",
        "'route' belongs in [functions.NAME]",
    ),
    "route-not-from-the-root": (
        "{folder}/pilotlight.toml: functions.qa.route: 'POST qa': expected \"METHOD /path\"",
        'write it as "METHOD /path", such as "POST /answer" or "GET /answers/{id}"',
    ),
    "route-of-an-unknown-method": (
        "{folder}/pilotlight.toml: functions.qa.route: 'post /qa': 'post' is none of GET, POST, PUT, PATCH, "
        "DELETE, HEAD, OPTIONS, ANY",
        "did you mean 'POST'?",
    ),
    "route-twice": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /answers/{id}' and 'GET /answers/{name}' are one route",
        "leave one of the two out",
    ),
    "route-with-a-query": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /qa?question={question}': a route has no query "
        "and no fragment",
        "leave it out: every query reaches the function",
    ),
    "route-with-a-space": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /my answers': 'my answers' has a character that a"
        " URL does not have",
        "write it percent-encoded, such as %20",
    ),
    "route-with-an-empty-segment": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /qa//{id}': there is an empty segment",
        'write one "/" between segments',
    ),
    "route-with-one-parameter-twice": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /{id}/answers/{id}': two parameters are named 'id'",
        "give each its own name",
    ),
    "route-with-part-of-a-segment": (
        "{folder}/pilotlight.toml: functions.qa.route: 'GET /answer-{id}': 'answer-{id}' is no parameter",
        "a parameter is a whole segment: {name}, or {name+} at the end; its name is a Python name",
    ),
    "route-without-method": (
        "{folder}/pilotlight.toml: functions.qa.route: '/qa': expected \"METHOD /path\"",
        'write it as "METHOD /path", such as "POST /answer" or "GET /answers/{id}"',
    ),
    "snapstart-with-a-large-tmp": (
        "{folder}/pilotlight.toml: functions.qa.snapstart: SnapStart takes no /tmp above 512 MB, and tmp is 1024",
        "leave tmp out, or snapstart",
    ),
    "snapstart-with-concurrent-invocations": (
        "{folder}/pilotlight.toml: defaults.snapstart: SnapStart is for environments that take one invocation at a "
        "time, and environment_concurrency is 2",
        "leave one of the two out",
    ),
    "stage-with-a-slash": (
        '{folder}/pilotlight.toml: stage: expected letters, digits, _ and -, got "/v1"',
        "The stage that a REST or an HTTP API is deployed to, the first segment of every path of theirs. Without it: "
        'none in paths; an HTTP API then has the stage $default, a REST API the stage prod. Example: stage = "v1"',
    ),
    "table-misspelt": (
        "{folder}/pilotlight.toml: function: there is no such setting",
        "did you mean 'functions'?",
    ),
    "table-of-items-in-an-unknown-store": (
        '{folder}/pilotlight.toml: tables.vectors.store: expected one of sqlite, dynamodb, got "dynamo"',
        "did you mean 'dynamodb'?",
    ),
    "table-of-items-misnamed": (
        "{folder}/pilotlight.toml: tables.word_vectors: this is no name for a table",
        "lower-case letters, digits and single dashes, a letter first, 40 characters at most",
    ),
    "table-of-items-misspelt": (
        "{folder}/pilotlight.toml: tables.vectors.expire: there is no such setting",
        "did you mean 'expires'?",
    ),
    "table-of-items-that-expires-by-its-key": (
        '{folder}/pilotlight.toml: tables.vectors.expires: "word" is the key of the table, which is a string',
        "name another attribute, which holds the time as a number",
    ),
    "table-of-items-unknown": (
        "{folder}/pilotlight.toml: functions.qa.tables: there is no table 'vektors'",
        "did you mean 'vectors'?",
    ),
    "table-of-items-unknown-in-defaults": (
        "{folder}/pilotlight.toml: defaults.tables: there is no table 'records'",
        "write [tables.records], and its settings below it",
    ),
    "table-of-items-with-a-space": (
        '{folder}/pilotlight.toml: tables.vectors.table: expected letters, digits, _, . and -, got "glove 300"',
        'What DynamoDB calls the table. Without it: SERVICE-NAME. Example: table = "glove-300"',
    ),
    "tables-a-text": (
        "{folder}/pilotlight.toml: functions.qa.tables: expected list, got str",
        'The tables of the service that the function may use, by their names. Example: tables = ["vectors"]',
    ),
    "text-for-a-number": (
        "{folder}/pilotlight.toml: functions.qa.memory: expected int, got str",
        "Memory in MB. Processor time comes with it: one vCPU at 1769. Example: memory = 3008",
    ),
    "throttle-a-number": (
        "{folder}/pilotlight.toml: functions.qa.throttle: expected table, got int",
        "write [functions.qa.throttle] and its settings below it: rate and burst",
    ),
    "throttle-of-a-function-url": (
        "{folder}/pilotlight.toml: functions.qa.throttle: a function URL has no throttle, and this function has a URL",
        'set front = "rest" or "http", or concurrency in place of throttle',
    ),
    "throttle-without-burst": (
        "{folder}/pilotlight.toml: defaults.throttle: table missing required field burst",
        "write [defaults.throttle] and its settings below it: rate and burst",
    ),
    "throttle-without-rate-for-a-key": (
        "{folder}/pilotlight.toml: usage_plans.free.throttle.rate: expected float > 0.0, got 0",
        "Requests a second, in the long run. Example: rate = 100",
    ),
    "timeout-too-long-in-defaults": (
        "{folder}/pilotlight.toml: defaults.timeout: expected int <= 900, got 901",
        "Seconds after which an invocation is ended and its environment killed. Example: timeout = 60",
    ),
    "toml-cut-off": (
        "{folder}/pilotlight.toml, line 1, column 11: this is not TOML: illegal character '\\n'",
        "toml.io/en/v1.0.0 describes the format",
    ),
    "two-functions-one-route": (
        "{folder}/inference/captions.py and {folder}/inference/clothing.py: both have the route 'POST /predict'",
        "set another route under [functions.clothing] in {folder}/pilotlight.toml",
    ),
    "two-functions-one-shape": (
        "{folder}/inference/captions.py and {folder}/inference/clothing.py: 'GET /{image}/result' and 'GET "
        "/{photo}/result' are one route",
        "set another route under [functions.clothing] in {folder}/pilotlight.toml",
    ),
    "usage-plan-misspelt": (
        "{folder}/pilotlight.toml: usage_plans.free.qouta: there is no such setting",
        "did you mean 'quota'?",
    ),
    "usage-plan-without-keys": (
        "{folder}/pilotlight.toml: usage_plans.free: table missing required field keys",
        "write [usage_plans.free] and its settings below it: keys",
    ),
    "variable-a-number": (
        "{folder}/pilotlight.toml: functions.qa.environment.OMP_NUM_THREADS: expected str, got int",
        'write it in quotes: OMP_NUM_THREADS = "1"',
    ),
    "variable-misnamed": (
        "{folder}/pilotlight.toml: defaults.environment.LOG-LEVEL: this is no name for an environment variable",
        "letters, digits and _, a letter first, two characters at least",
    ),
    "variable-of-lambda": (
        "{folder}/pilotlight.toml: functions.qa.environment.AWS_REGION: Lambda sets this variable itself",
        "choose another name",
    ),
    "variable-of-pilotlight": (
        "{folder}/pilotlight.toml: functions.qa.environment.PILOTLIGHT_ALLOW_URLS: Pilotlight sets this variable "
        "itself",
        "set allow_urls in [inputs], or choose another name",
    ),
    "variable-with-nul": (
        "{folder}/pilotlight.toml: functions.qa.environment.SEPARATOR: an environment variable cannot hold a "
        "NUL character",
        "",
    ),
    "variables-too-large": (
        "{folder}/pilotlight.toml: functions.qa.environment: they take 4233 bytes as JSON, and Lambda allows 4096",
        "move what is long into a file of the project",
    ),
    "wrong-item-in-a-list": (
        "{folder}/pilotlight.toml: cors.origins[1]: expected str, got int",
        'Origins that may call: scheme, host and port, no path; "*" is any. An empty list turns CORS off. '
        'Example: origins = ["https://example.com"]',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_defect_of_the_project_is_refused(name: str) -> None:
    folder = PROJECTS / name
    with pytest.raises(ProjectError) as refused:
        load(folder)
    message, hint = REFUSED[name]
    assert (str(refused.value), refused.value.hint) == (
        message.replace("{folder}", str(folder)),
        hint.replace("{folder}", str(folder)),
    )


def test_every_folder_is_tested() -> None:
    folders = {path.name for path in PROJECTS.iterdir() if path.is_dir()}
    assert folders == {*REFUSED, "one-function-broken"}


def test_a_broken_function_does_not_stop_the_others() -> None:
    folder = PROJECTS / "one-function-broken"
    functions = load(folder).functions
    assert [(function.name, function.defect, function.hint) for function in functions] == [
        ("good", "", ""),
        (
            "misspelt",
            f"{folder}/inference/misspelt.py: there is no 'handler' at the top level",
            "rename 'handlr', or set handler = \"handlr\" under [functions.misspelt]",
        ),
        (
            "no_handler",
            f"{folder}/inference/no_handler.py: there is no 'handler' at the top level",
            "define it there, or set handler under [functions.no_handler] to the name that it has",
        ),
        (
            "syntax_error",
            f"{folder}/inference/syntax_error.py, line 2: this is not Python: '(' was never closed",
            "correct the syntax",
        ),
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"nowhere: there is no such folder$"):
        load(tmp_path / "nowhere")


def test_a_folder_in_place_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "pilotlight.toml").mkdir()
    with pytest.raises(ProjectError, match=r"pilotlight\.toml: is a directory$"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a = " + "[" * 5000, "the tables and lists are nested too deeply"), ("a = " + "1" * 5000, "this is not TOML: ")],
    ids=["depth", "digits"],
)
def test_toml_that_python_cannot_hold(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "pilotlight.toml").write_text(text)
    with pytest.raises(ProjectError) as refused:
        load(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}/pilotlight.toml: {reason}")


ODD = ["x - at $y", "x - at `$y`", "`"]  # as in the messages of msgspec, which ours are made from
TABLES = (Settings, Cors, UsagePlan, Table, Inputs, Records, Cache, FunctionSettings, Throttle)
KEYS = [*(name for table in TABLES for name in table.__struct_fields__), *ODD, "memroy"]
TEXTS = st.sampled_from(
    [
        "qa",
        "*",
        "hf://org/name",
        "s3://a",
        "POST",
        "POST /qa",
        "GET /{a}/{b+}",
        "rest",
        "http",
        "image/png",
        "..",
        "",
        "\n",
        *ODD,
    ]
)
VALUES = st.booleans() | st.integers() | st.floats() | st.dates() | st.datetimes() | st.times() | TEXTS | st.text()
NESTED = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4),
    max_leaves=12,
)
FUNCTION = st.dictionaries(st.sampled_from(KEYS), NESTED, max_size=3)
FILE = st.fixed_dictionaries(
    {},
    optional={
        "name": NESTED,
        "stage": NESTED,
        "cors": FUNCTION | NESTED,
        "usage_plans": st.dictionaries(st.sampled_from(["free", "a b"]), FUNCTION | NESTED, max_size=2) | NESTED,
        "tables": st.dictionaries(st.sampled_from(["qa", "a b"]), FUNCTION | NESTED, max_size=2) | NESTED,
        "inputs": FUNCTION | NESTED,
        "cache": FUNCTION | NESTED,
        "defaults": FUNCTION | NESTED,
        "functions": st.fixed_dictionaries({}, optional={"qa": FUNCTION | NESTED, "other": NESTED}) | NESTED,
        "qa": NESTED,
    },
)


def toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool() | float():
            return str(value).lower()
    return str(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "inference").mkdir()
    (folder / "inference" / "qa.py").write_text("handler = print\n")
    return folder


@given(FILE)
def test_whatever_the_settings_say_they_load_or_are_refused(folder: Path, raw: Mapping[str, object]) -> None:
    file = folder / "pilotlight.toml"
    file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in raw.items()), encoding="utf-8")
    try:
        load(folder)
    except ProjectError as error:
        message = str(error)
    else:
        message = f"{file}: fine"
    assert message.startswith(f"{file}: ")
