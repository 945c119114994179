"""Checks of what the settings ask of Lambda and of what stands before it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pilotlight import limits
from pilotlight.deploy import network
from pilotlight.deploy.doctor.code import Code
from pilotlight.deploy.doctor.code_checks import Subject
from pilotlight.deploy.doctor.finding import Finding, Problem, finding
from pilotlight.errors import ProjectError
from pilotlight.settings_checks import measured

_HTTP = ("requests", "httpx", "aiohttp", "urllib3", "urllib.request", "http.client", "openai", "anthropic", "boto3")
_HUBS = ("huggingface_hub", "transformers", "sentence_transformers", "torch.hub", "tensorflow_hub", "nltk.download")


def memory_quota(subject: Subject) -> Finding:
    """A new account gets 3,008 MB until it has been used for a while; no API tells which an account has."""
    memory = subject.function.memory
    problems = []
    if memory > limits.MEMORY_NEW_ACCOUNT:
        remedy = f"set memory = {limits.MEMORY_NEW_ACCOUNT}, or ask AWS Support for more memory for Lambda"
        problems = [Problem(f"{memory} MB; a new account has {limits.MEMORY_NEW_ACCOUNT:,}", remedy, "warning")]
    return finding("memory quota", subject.function.name, f"{memory} MB, which every account has", problems)


def timeout(subject: Subject) -> Finding:
    """A gateway waits no longer than its own limit, and the function runs on and is billed."""
    function = subject.function
    wait = {"http": limits.HTTP_TIMEOUT, "rest": limits.REST_TIMEOUT}.get(function.front)
    if wait is None or not function.routes or (function.front == "rest" and function.streams):
        return finding("timeout", function.name, f"{function.timeout} s, and no gateway gives up before", ())
    problems = []
    if function.timeout > wait:
        api = "an HTTP API" if function.front == "http" else "a REST API"
        remedy = f'set timeout = {int(wait)}, front = "url", which waits as long as the function, or route = []'
        seen = f"{function.timeout} s, and {api} gives up after {wait:.0f}"
        problems = [Problem(seen, remedy, "warning")]
    return finding("timeout", function.name, f"{function.timeout} s of the gateway's {wait:.0f}", problems)


def payload(subject: Subject, events: Sequence[Path]) -> Finding:
    """Lambda takes 6 MB of a request, the base64 of binary bodies included."""
    sizes = {path.name: path.stat().st_size for path in events}
    large = {name: size for name, size in sizes.items() if size > limits.REQUEST_PAYLOAD}
    remedy = "send what is large to S3 and its URL to the function: [inputs] buckets"
    takes = f"bytes, and Lambda takes {limits.REQUEST_PAYLOAD:,}"
    problems = [Problem(f"events/{name}: {size:,} {takes}", remedy) for name, size in large.items()]
    most = max(sizes.values(), default=0)
    fine = f"{most:,} bytes is the largest saved event" if sizes else "there is no saved event"
    return finding("payload", subject.function.name, fine, problems)


def variables(subject: Subject, found: Mapping[str, str]) -> Finding:
    """`found` are the function's environment variables as they are deployed."""
    size = measured(found)
    remedy = "move what is long into a file of the project, or into Parameter Store"
    seen = f"{size:,} bytes of {limits.ENVIRONMENT_VARIABLES:,}"
    problems = [Problem(seen, remedy)] if size > limits.ENVIRONMENT_VARIABLES else []
    return finding("environment variables", subject.function.name, seen, problems)


def efs(subject: Subject) -> Finding:
    """Where models are kept: Lambda mounts EFS below /mnt, and has nothing else that lasts."""
    function, folder = subject.function, subject.function.cache.folder
    if not function.fetches or not folder:
        return finding("EFS", function.name, "no model is kept on it", ())
    problems = []
    try:
        network.place(function)
    except ProjectError:
        problems = [Problem(f"[cache] folder is {folder}, and Lambda mounts below /mnt", 'set folder = "/mnt/models"')]
    return finding("EFS", function.name, f"models are kept in {folder}", problems)


def snapstart(subject: Subject) -> Finding:
    """docs.aws.amazon.com/lambda/latest/dg/snapstart.html: not with EFS, provisioned concurrency or a larger /tmp."""
    function = subject.function
    if not function.snapstart:
        return finding("SnapStart", function.name, "it is not asked for", ())
    problems = []
    if network.is_mounted(function):
        remedy = "keep models in /tmp: take folder out of [cache], or set snapstart = false"
        problems.append(Problem(f"with EFS at {function.cache.folder}", remedy))
    if function.provisioned:
        remedy = "set provisioned = 0, or snapstart = false"
        problems.append(Problem(f"with {function.provisioned} provisioned environments", remedy))
    if function.tmp > limits.TMP_MIN:
        problems.append(Problem(f"with a /tmp of {function.tmp} MB", f"set tmp = {limits.TMP_MIN}"))
    return finding("SnapStart", function.name, "with nothing that it excludes", problems)


def internet(subject: Subject) -> Finding:
    """A function in a VPC reaches the internet by NAT alone; EFS puts it into one."""
    function, name = subject.function, "internet without NAT"
    if not network.is_mounted(function):
        return finding(name, function.name, "the function is in no VPC", ())
    if subject.project.network.nat:
        return finding(name, function.name, "[network] nat = true", ())
    return finding(name, function.name, "nothing of it needs the internet", _needs_internet(subject.code))


def _needs_internet(code: Code) -> Iterator[Problem]:
    remedy = "set nat = true in [network], or keep models in /tmp: take folder out of [cache]"
    for imported, place in code.imported("pilotlight.ImageUrl", "pilotlight.function.inputs.ImageUrl"):
        yield Problem(f"{place}: {imported.rpartition('.')[2]} fetches from public addresses", remedy)
    for imported, place in code.imported(*_HUBS):
        hub = f'name the model in the settings, as model = "hf://...", which deploying copies to S3; or {remedy}'
        yield Problem(f"{place}: {imported} fetches from a hub", hub, "warning")
    for imported, place in code.imported(*_HTTP):
        yield Problem(f"{place}: {imported} may call what is on the internet", remedy, "warning")
