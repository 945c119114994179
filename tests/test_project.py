import textwrap
from pathlib import Path

import pytest

from pilotlight.errors import ProjectError
from pilotlight.project import Function, Project, Route, check_routes, load, parse_route
from pilotlight.settings import Build, Cache, Cors, Deploy, Inputs, Jwt, Network, Records, Table, Throttle, UsagePlan

HANDLER = "def handler(event, context):\n    return event\n"


def service(folder: Path, toml: str | None = None, **sources: str) -> Path:
    """Write a project; each keyword is the name of a function and the text of its file."""
    (folder / "inference").mkdir(parents=True)
    for name, text in sources.items():
        (folder / "inference" / f"{name}.py").write_text(text)
    if toml is not None:
        (folder / "pilotlight.toml").write_text(textwrap.dedent(toml))
    return folder


def test_a_folder_without_settings_has_every_default(tmp_path: Path) -> None:
    folder = service(tmp_path / "Question Answering", qa=HANDLER)
    assert load(folder) == Project(
        name="question-answering",
        root=folder,
        functions=(
            Function(
                service="question-answering",
                name="qa",
                root=folder,
                file=folder / "inference" / "qa.py",
                handler="inference/qa.handler",
                routes=(Route("POST", "/qa"),),
                stage="",
                memory=1769,
                timeout=30,
                tmp=512,
                concurrency=None,
                front="http",
                streams=False,
                binary_media_types=(),
                api_key=False,
                auth="none",
                provisioned=0,
                provisioned_max=0,
                latency_alarm=0,
                throttle=None,
                retries=2,
                max_event_age=21600,
                snapstart=False,
                environment_concurrency=1,
                environment={},
                tables={},
                inputs=Inputs(),
                records=None,
                metrics=False,
                model="",
                models={},
                optimize=True,
                task="",
                cache=Cache(),
                install="",
                runtime="pilotlight",
                package="auto",
                idle=300.0,
                defect="",
                hint="",
            ),
        ),
        cors=None,
        stage="",
        usage_plans={},
        tables={},
        build=Build(),
        jwt=None,
        deploy=Deploy(),
        network=Network(),
        cache=Cache(),
    )


def test_no_example_opens_what_is_inside() -> None:
    folders = [file.parent for file in Path(__file__).parents[1].glob("examples/*/pilotlight.toml")]
    assert {function.inputs for folder in folders for function in load(folder).functions} == {Inputs()}


def test_a_project_with_everything_set(tmp_path: Path) -> None:
    toml = """
        name = "vision"
        stage = "v1"

        [usage_plans.partners]
        keys = ["acme", "big-corp"]
        throttle = { rate = 10, burst = 5 }
        quota = 1000
        period = "WEEK"

        [usage_plans.trial]
        keys = ["anyone"]

        [tables.images]
        key = "url"
        expires = "until"
        keep = true
        recovery = false

        [tables.labels]
        store = "dynamodb"
        table = "labels-2026"

        [inputs]
        allow_urls = ["images.lan:8080", "[::1]:80"]
        buckets = ["uploads"]

        [cache]
        folder = "/mnt/models"
        size = 2048

        [cors]
        origins = ["https://example.com", "chrome-extension://abcdef"]
        methods = ["POST", "OPTIONS"]
        headers = ["content-type", "x-api-key"]
        expose = ["x-amzn-requestid"]
        max_age = 3600
        credentials = true

        [build]
        python = "3.14"
        architecture = "arm64"
        exclude = ["*.csv"]
        base_image = "scratch"

        [jwt]
        issuer = "https://login.example.com/pool"
        audiences = ["vision"]

        [deploy]
        region = "eu-west-1"
        log_days = 90
        tags = { team = "search" }
        rollout = "canary"
        alarm_email = "ops@example.com"
        alarms = false
        dashboard = false

        [network]
        nat = true

        [defaults]
        handler = "predict"
        memory = 2048
        timeout = 20
        tmp = 1024
        concurrency = 5
        front = "url"
        auth = "iam"
        provisioned = 3
        provisioned_max = 5
        latency_alarm = 500
        retries = 1
        max_event_age = 3600
        environment_concurrency = 8
        binary_media_types = []
        environment = { LOG_LEVEL = "info", OMP_NUM_THREADS = "1" }
        tables = ["labels"]
        model = "models/shared"
        models = { words = "models/words" }
        optimize = false
        task = "translation"
        install = "make shared"
        runtime = "awslambdaric"
        package = "zip"
        idle = 60

        [functions.caption]
        route = ["POST /caption", "GET /captions/{image}", "ANY /files/{path+}"]
        handler = "answer"
        memory = 10240
        timeout = 900
        tmp = 512
        concurrency = 1000
        front = "rest"
        api_key = true
        auth = "none"
        provisioned = 0
        provisioned_max = 0
        latency_alarm = 0
        throttle = { rate = 2.5, burst = 4 }
        retries = 0
        max_event_age = 60
        snapstart = true
        environment_concurrency = 1
        binary_media_types = ["image/*"]
        environment = { LOG_LEVEL = "debug", BEAMS = "3" }
        tables = ["images"]
        model = "models/caption"
        models = { en_zh = "hf://org/en-zh@v1.0", zh_en = "s3://models-2026/zh-en" }
        optimize = true
        task = "question-answering"
        install = "pilotlight optimize hf://org/caption"
        runtime = "pilotlight"
        package = "image"
        idle = 0.5
    """
    folder = service(tmp_path / "service", toml, caption="answer = print\n", clothing="from shop import predict\n")
    assert load(folder) == Project(
        name="vision",
        root=folder,
        functions=(
            Function(
                service="vision",
                name="caption",
                root=folder,
                file=folder / "inference" / "caption.py",
                handler="inference/caption.answer",
                routes=(
                    Route("POST", "/caption"),
                    Route("GET", "/captions/{image}"),
                    Route("ANY", "/files/{path+}"),
                ),
                stage="v1",
                memory=10240,
                timeout=900,
                tmp=512,
                concurrency=1000,
                front="rest",
                streams=False,
                binary_media_types=("image/*",),
                api_key=True,
                auth="none",
                provisioned=0,
                provisioned_max=0,
                latency_alarm=0,
                throttle=Throttle(rate=2.5, burst=4),
                retries=0,
                max_event_age=60,
                snapstart=True,
                environment_concurrency=1,
                environment={"LOG_LEVEL": "debug", "OMP_NUM_THREADS": "1", "BEAMS": "3"},
                tables={"images": Table(key="url", table="vision-images", expires="until", keep=True, recovery=False)},
                inputs=Inputs(allow_urls=("images.lan:8080", "[::1]:80"), buckets=("uploads",)),
                records=None,
                metrics=False,
                model="models/caption",
                models={"en_zh": "hf://org/en-zh@v1.0", "zh_en": "s3://models-2026/zh-en"},
                optimize=True,
                task="question-answering",
                cache=Cache(folder="/mnt/models", size=2048),
                install="pilotlight optimize hf://org/caption",
                runtime="pilotlight",
                package="image",
                idle=0.5,
                defect="",
                hint="",
            ),
            Function(
                service="vision",
                name="clothing",
                root=folder,
                file=folder / "inference" / "clothing.py",
                handler="inference/clothing.predict",
                routes=(Route("POST", "/clothing"),),
                stage="",
                memory=2048,
                timeout=20,
                tmp=1024,
                concurrency=5,
                front="url",
                streams=False,
                binary_media_types=(),
                api_key=False,
                auth="iam",
                provisioned=3,
                provisioned_max=5,
                latency_alarm=500,
                throttle=None,
                retries=1,
                max_event_age=3600,
                snapstart=False,
                environment_concurrency=8,
                environment={"LOG_LEVEL": "info", "OMP_NUM_THREADS": "1"},
                tables={"labels": Table(store="dynamodb", table="labels-2026")},
                inputs=Inputs(allow_urls=("images.lan:8080", "[::1]:80"), buckets=("uploads",)),
                records=None,
                metrics=False,
                model="models/shared",
                models={"words": "models/words"},
                optimize=False,
                task="translation",
                cache=Cache(folder="/mnt/models", size=2048),
                install="make shared",
                runtime="awslambdaric",
                package="zip",
                idle=60.0,
                defect="",
                hint="",
            ),
        ),
        cors=Cors(
            origins=("https://example.com", "chrome-extension://abcdef"),
            methods=("POST", "OPTIONS"),
            headers=("content-type", "x-api-key"),
            expose=("x-amzn-requestid",),
            max_age=3600,
            credentials=True,
        ),
        stage="v1",
        usage_plans={
            "partners": UsagePlan(
                keys=("acme", "big-corp"), throttle=Throttle(rate=10.0, burst=5), quota=1000, period="WEEK"
            ),
            "trial": UsagePlan(keys=("anyone",)),
        },
        tables={
            "images": Table(key="url", table="vision-images", expires="until", keep=True, recovery=False),
            "labels": Table(store="dynamodb", table="labels-2026"),
        },
        build=Build(python="3.14", architecture="arm64", exclude=("*.csv",), base_image="scratch"),
        jwt=Jwt(issuer="https://login.example.com/pool", audiences=("vision",)),
        deploy=Deploy(
            region="eu-west-1",
            log_days=90,
            tags={"team": "search"},
            rollout="canary",
            alarm_email="ops@example.com",
            alarms=False,
            dashboard=False,
        ),
        network=Network(nat=True),
        cache=Cache(folder="/mnt/models", size=2048),
    )


def test_what_is_no_function_is_left_alone(tmp_path: Path) -> None:
    folder = service(tmp_path / "service", qa=HANDLER, _shared="", __init__="", **{".draft": ""})
    (folder / "inference" / "notes.txt").touch()
    (folder / "inference" / "folder.py").mkdir()
    assert [function.key for function in load(folder).functions] == ["service--qa"]


def test_a_relative_folder_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(service(tmp_path / "service", qa=HANDLER))
    project = load(Path("."))
    assert (project.name, project.root) == ("service", tmp_path / "service")
    assert project.functions[0].file == tmp_path / "service" / "inference" / "qa.py"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("qa", "qa"),
        ("Question_Answering (v2)", "question-answering-v2"),
        ("2026", "service-2026"),
        ("__", "service"),
        ("字幕", "service"),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_a_service_is_named_for_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    assert load(service(tmp_path / folder, qa=HANDLER)).name == name


@pytest.mark.parametrize(
    ("toml", "source", "front"),
    [
        ("", HANDLER, "http"),
        ('front = "rest"', HANDLER, "rest"),
        ('binary_media_types = ["*/*"]', HANDLER, "rest"),
        ("", "@endpoint\ndef handler(text: str):\n    for word in text.split():\n        yield word\n", "url"),
        ("", "async def handler(text: str):\n    yield text\n", "url"),
        ("", "def handler(text: str):\n    yield from text\n", "url"),
        ('front = "http"', "def handler(text: str):\n    yield text\n", "http"),
        ("api_key = true", HANDLER, "rest"),
        ("api_key = true", "def handler(text: str):\n    yield text\n", "rest"),
        ("", "def handler(text: str):\n    def words():\n        yield text\n    return list(words())\n", "http"),
        ("", "def other():\n    yield\n\ndef handler(text: str):\n    return text\n", "http"),
    ],
)
def test_the_front_comes_from_the_settings_then_from_the_handler(
    tmp_path: Path, toml: str, source: str, front: str
) -> None:
    plans = '[usage_plans.all]\nkeys = ["anyone"]\n'
    (function,) = load(service(tmp_path / "service", f"{plans}[functions.qa]\n{toml}\n", qa=source)).functions
    assert function.front == front


@pytest.mark.parametrize(
    ("toml", "streams"),
    [
        ("", True),
        ('front = "url"', True),
        ('front = "rest"', True),
        ('front = "http"', False),
        ('runtime = "awslambdaric"', False),
    ],
)
def test_a_generator_streams_where_its_front_can(tmp_path: Path, toml: str, streams: bool) -> None:
    source = "def handler(text: str):\n    yield text\n"
    (function,) = load(service(tmp_path / "service", f"[functions.qa]\n{toml}\n", qa=source)).functions
    assert function.streams == streams


def test_the_stage_stands_before_the_paths_of_apis_and_of_no_function_url(tmp_path: Path) -> None:
    toml = """
        stage = "v1"
        [functions.http]
        route = ["GET /", "GET /a/{b+}"]
        [functions.rest]
        front = "rest"
        [functions.url]
        front = "url"
    """
    functions = load(service(tmp_path / "service", toml, http=HANDLER, rest=HANDLER, url=HANDLER)).functions
    assert [[str(route) for route in function.served] for function in functions] == [
        ["GET /v1/", "GET /v1/a/{b+}"],
        ["POST /v1/rest"],
        ["POST /url"],
    ]


def test_services_share_routes_of_different_stages(tmp_path: Path) -> None:
    one = load(service(tmp_path / "one", 'stage = "v1"\n', qa=HANDLER))
    other = load(service(tmp_path / "other", 'stage = "v2"\n', qa=HANDLER))
    check_routes([one, other])


@pytest.mark.parametrize(
    "source",
    [
        "def handler(event, context): ...",
        "async def handler(event, context): ...",
        "class handler: ...",
        "handler = print",
        "handler: object = print",
        "first, handler = print, print",
        "from answers import handler",
        "from answers import answer as handler",
        "from answers import *",
        "import handler",
        "try:\n    from fast import handler\nexcept ImportError:\n    from slow import handler",
        "if True:\n    def handler(event, context): ...",
        "total = " + " + ".join(["1"] * 3000) + "\nhandler = print",
        '"\\d"\nhandler = print',
        "# coding: latin-1\nhandler = print  # caf\xe9",
    ],
)
def test_a_handler_may_be_bound_in_any_way(tmp_path: Path, source: str) -> None:
    folder = service(tmp_path / "service", qa="")
    (folder / "inference" / "qa.py").write_bytes(source.encode("latin-1"))
    assert load(folder).functions[0].defect == ""


@pytest.mark.parametrize(
    ("source", "defect", "hint"),
    [
        (b"", ": there is no 'handler' at the top level", DEFINE := "define it there, or set handler under "
         "[functions.qa] to the name that it has"),
        (b"def predict():\n    handler = print\n", ": there is no 'handler' at the top level", DEFINE),
        (b"[handler for handler in ()]\n", ": there is no 'handler' at the top level", DEFINE),
        (b"def handle(event, context): ...\n", ": there is no 'handler' at the top level",
         "rename 'handle', or set handler = \"handle\" under [functions.qa]"),
        (b"def handler(:\n", ", line 1: this is not Python: invalid syntax", "correct the syntax"),
        (b"handler = '\0'\n", ": this is not Python: source code string cannot contain null bytes",
         "correct the syntax"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_a_function_has_a_defect(tmp_path: Path, source: bytes, defect: str, hint: str) -> None:
    folder = service(tmp_path / "service", qa="")
    file = folder / "inference" / "qa.py"
    file.write_bytes(source)
    (function,) = load(folder).functions
    assert (function.defect, function.hint) == (f"{file}{defect}", hint)
    assert function.routes == (Route("POST", "/qa"),)


def test_a_link_to_nothing_is_a_defect(tmp_path: Path) -> None:
    folder = service(tmp_path / "service", good=HANDLER)
    (folder / "inference" / "gone.py").symlink_to("nowhere.py")
    good, gone = sorted(load(folder).functions, key=lambda function: function.defect)
    assert (good.name, good.defect) == ("good", "")
    assert gone.defect == f"{folder}/inference/gone.py: reading it failed: No such file or directory"


def test_an_empty_list_is_no_route(tmp_path: Path) -> None:
    (function,) = load(service(tmp_path / "service", "[functions.qa]\nroute = []\n", qa=HANDLER)).functions
    assert function.routes == ()


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("GET /", Route("GET", "/")),
        ("POST /answer", Route("POST", "/answer")),
        ("ANY /answers/{id}/", Route("ANY", "/answers/{id}/")),
        ("DELETE /v1.0/{user_id}/{path+}", Route("DELETE", "/v1.0/{user_id}/{path+}")),
        ("PATCH /caf%C3%A9", Route("PATCH", "/caf%C3%A9")),
    ],
)
def test_a_route_reads_as_it_is_written(text: str, route: Route) -> None:
    assert parse_route(text) == route
    assert str(route) == text


def two(tmp_path: Path, one: str, other: str) -> list[Project]:
    """Two services, each with one function of that route."""
    toml = '[functions.{}]\nroute = "{}"\n'
    return [
        load(service(tmp_path / "one", toml.format("a", one), a=HANDLER)),
        load(service(tmp_path / "other", toml.format("b", other), b=HANDLER)),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GET /answers", "POST /answers"),
        ("ANY /answers", "POST /answers"),
        ("GET /answers/{id}", "GET /answers/new"),
        ("GET /answers/{id}", "GET /answers/{id+}"),
        ("GET /answers", "GET /answers/"),
    ],
)
def test_services_may_share_paths_of_another_method_or_shape(tmp_path: Path, one: str, other: str) -> None:
    check_routes(two(tmp_path, one, other))


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("POST /answers", "POST /answers", "both have the route 'POST /answers'"),
        ("ANY /answers", "ANY /answers", "both have the route 'ANY /answers'"),
        ("GET /{x}/a", "GET /{y}/a", "'GET /{x}/a' and 'GET /{y}/a' are one route"),
        ("GET /{x+}", "GET /{y+}", "'GET /{x+}' and 'GET /{y+}' are one route"),
    ],
)
def test_services_may_not_share_a_route(tmp_path: Path, one: str, other: str, reason: str) -> None:
    with pytest.raises(ProjectError) as refused:
        check_routes(two(tmp_path, one, other))
    assert str(refused.value) == f"{tmp_path}/one/inference/a.py and {tmp_path}/other/inference/b.py: {reason}"
    assert refused.value.hint == f"set another route under [functions.b] in {tmp_path}/other/pilotlight.toml"


def test_two_services_of_one_name(tmp_path: Path) -> None:
    one = load(service(tmp_path / "one", 'name = "qa"', a=HANDLER))
    other = load(service(tmp_path / "qa", b=HANDLER))
    with pytest.raises(ProjectError) as refused:
        check_routes([one, other])
    files = f"{tmp_path}/one/pilotlight.toml and {tmp_path}/qa/pilotlight.toml"
    assert str(refused.value) == f"{files}: both services are named 'qa'"
    assert refused.value.hint == "set another name at the top of one of them"


def test_two_services_may_have_functions_of_one_name(tmp_path: Path) -> None:
    one = load(service(tmp_path / "one", qa=HANDLER))
    other = load(service(tmp_path / "other", '[functions.qa]\nroute = "POST /other"', qa=HANDLER))
    check_routes([one, other])
    assert [project.functions[0].key for project in (one, other)] == ["one--qa", "other--qa"]


def test_functions_whose_invocations_are_recorded_use_the_table_of_records(tmp_path: Path) -> None:
    (tmp_path / "inference").mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / "inference" / f"{name}.py").write_text("handler = print\n")
    (tmp_path / "pilotlight.toml").write_text(
        """
        name = "notes"
        [tables.words]
        [tables.records]
        store = "dynamodb"
        [records]
        redact = ["context"]
        [defaults]
        records = true
        tables = ["words"]
        [functions.two]
        tables = []
        [functions.three]
        records = false
        """
    )
    project = load(tmp_path)
    records = Table("primary_key", "dynamodb", "notes-records", "expires")
    assert project.tables == {"words": Table(table="notes-words"), "records": records}
    assert {each.name: (tuple(each.tables), each.records) for each in project.functions} == {
        "one": (("words", "records"), Records(redact=("context",))),
        "two": (("records",), Records(redact=("context",))),
        "three": (("words",), None),
    }


def test_a_table_of_ones_own_may_be_called_records_where_nothing_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "one.py").write_text("handler = print\n")
    (tmp_path / "pilotlight.toml").write_text('[tables.records]\nkey = "id"\n')
    assert load(tmp_path).tables["records"].key == "id"
