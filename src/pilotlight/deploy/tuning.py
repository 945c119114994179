"""Temporary functions made like a deployed one, to be measured in other memory settings and removed.

What is live stays as it is: nothing is written to its function, versions or alias, and it is not called. A temporary
function has the code, role, variables and network of the live version, a name of its own and a tag by which it is found
when a run was killed. It has no reserved concurrency and no alias, and its role lets it write no log, so that alarms,
dashboards and `pilotlight logs` do not see it; what it writes is in the answers of the Invoke API.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pilotlight.deploy import names, uploads
from pilotlight.deploy.session import Session, absent, asking
from pilotlight.errors import AwsRefused, DeployError, UsageError

TAG = "pilotlight:tune"
"""Its value is the name of the function that a temporary one was made like."""
VARIABLE = "PILOTLIGHT_TUNE"
"""Changed before each cold start: Lambda starts no invocation in an environment of another configuration."""
_RECORDS = "PILOTLIGHT_RECORDS"  # what is only tried is not recorded
_COPIED = ("Role", "Runtime", "Handler", "Timeout", "FileSystemConfigs", "KMSKeyArn")
_DELAY = {"Delay": 2, "MaxAttempts": 300}  # a first network interface in a VPC takes minutes
_MAGIC = b"\x7fELF"


class Original(NamedTuple):
    """A deployed function's version that is live, as GetFunction has it."""

    name: str
    configuration: Mapping[str, Any]
    code: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        return str(self.configuration.get("Architectures", ["x86_64"])[0])

    @property
    def is_image(self) -> bool:
        return bool(self.configuration.get("PackageType") == "Image")

    @property
    def variables(self) -> dict[str, str]:
        found = self.configuration.get("Environment", {}).get("Variables", {})
        return {name: value for name, value in found.items() if name != _RECORDS}


Code = Mapping[str, Any]
"""What CreateFunction takes as `Code`."""


def original(session: Session, name: str) -> Original:
    """Raises `UsageError` where there is none, and `DeployError`."""
    client = session.client("lambda")
    with asking(f"asking for the function {name}"), absent("ResourceNotFoundException"):
        found = client.get_function(FunctionName=name, Qualifier=names.ALIAS)
        if hidden := found["Configuration"].get("Environment", {}).get("Error"):
            reason = f"reading the variables of {name}: {hidden.get('Message', 'AWS does not show them')}"
            raise AwsRefused(reason, "these credentials need kms:Decrypt for the function's key: ask who gave them")
        return Original(name, found["Configuration"], found["Code"])
    hint = "`pilotlight deploy` makes it; --stage and --region say where else to look"
    raise UsageError(f"there is no function {name!r} in {session.region}", hint)


def called(like: str, memory: int, architecture: str) -> str:
    """A temporary function's name; the same again for the same setting, so that nothing can be left under another."""
    return f"{_prefix(like)}{memory}-{architecture.replace('_', '-')}"


def _prefix(like: str) -> str:
    return f"pilotlight-tune-{hashlib.sha256(like.encode()).hexdigest()[:10]}-"


def left(session: Session, like: str) -> list[str]:
    """The temporary functions that are there: those of the name and of the tag."""
    client = session.client("lambda")
    with asking("looking for temporary functions"):
        pages = client.get_paginator("list_functions").paginate()
        named = [each for page in pages for each in page["Functions"] if each["FunctionName"].startswith(_prefix(like))]
        tags = {each["FunctionName"]: client.list_tags(Resource=each["FunctionArn"])["Tags"] for each in named}
    return [name for name, found in tags.items() if found.get(TAG) == like]


def code(session: Session, like: Original, service: str, architecture: str, built: Path) -> Code:
    """The deployed package, or, for another architecture than its own, the zip `built` for that.

    Raises `UsageError` where there is no such package.
    """
    if like.is_image:
        if architecture != like.architecture:
            raise UsageError(f"{like.name} is an image for {like.architecture}", _other_stage(architecture))
        return {"ImageUri": like.code.get("ResolvedImageUri") or like.code["ImageUri"]}
    bucket = names.bucket(session.account, session.region)
    key = _key(service, base64.b64decode(like.configuration["CodeSha256"]).hex())
    _check_there(session, bucket, key)
    if architecture == like.architecture or not machine_code(_package(session, bucket, key)):
        return {"S3Bucket": bucket, "S3Key": key}
    return {"S3Bucket": bucket, "S3Key": _sent(session, bucket, service, architecture, built)}


def _key(service: str, digest: str) -> str:
    """As `names.zip_key`; CodeSha256 is the digest of the zip."""
    return f"{service}/zips/{digest}.zip"


def _check_there(session: Session, bucket: str, key: str) -> None:
    with asking("looking for the deployed package"), absent("404", "NoSuchKey", "NoSuchBucket"):
        session.client("s3").head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=session.account)
        return
    raise DeployError(f"the deployed package is not in {bucket} any more", "deploy again, which sends it")


def _package(session: Session, bucket: str, key: str) -> bytes:
    with asking("reading the deployed package"):
        found = session.client("s3").get_object(Bucket=bucket, Key=key, ExpectedBucketOwner=session.account)
        return bytes(found["Body"].read())


def machine_code(package: bytes) -> list[str]:
    """The files in a zip that run on one architecture alone."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return [each.filename for each in archive.infolist() if _is_elf(archive, each)]


def _is_elf(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    with archive.open(member) as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _sent(session: Session, bucket: str, service: str, architecture: str, built: Path) -> str:
    """The key of the zip that was built for another architecture, which is not the deployed one's."""
    if not built.is_file():
        hint = f"`pilotlight build {built.stem} --target {architecture} --out {built.parent}`"
        raise UsageError(f"the deployed package has machine code, and none for {architecture} was built", hint)
    content = built.read_bytes()
    _check_machine(built, content, architecture)
    digest = hashlib.sha256(content).hexdigest()
    uploads.zip_file(session, bucket, _key(service, digest), built, f"sha256:{digest}")
    return _key(service, digest)


def _check_machine(built: Path, content: bytes, architecture: str) -> None:
    """ELF's field e_machine: 62 is x86-64, 183 is AArch64 (gabi.xinuos.com, elf/02-eheader.html)."""
    wanted = {"x86_64": 62, "arm64": 183}[architecture]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in machine_code(content):
            with archive.open(name) as file:
                if int.from_bytes(file.read(20)[18:20], "little") != wanted:
                    raise UsageError(f"{built}: {name} is not for {architecture}", f"build it for {architecture}")


def _other_stage(architecture: str) -> str:
    return f"deploy it with architecture = {architecture!r} in [build] as another --stage, and measure that"


def create(session: Session, like: Original, name: str, memory: int, architecture: str, package: Code) -> None:
    """Make a temporary function, and wait until it can be invoked. Raises `DeployError`."""
    found = like.configuration
    vpc = {field: found["VpcConfig"][field] for field in ("SubnetIds", "SecurityGroupIds")} if _has_vpc(found) else {}
    image = {"ImageConfig": found["ImageConfigResponse"]["ImageConfig"]} if "ImageConfigResponse" in found else {}
    layers = [each["Arn"] for each in found.get("Layers", ())]
    properties = {
        **{field: found[field] for field in _COPIED if found.get(field)},
        **image,
        **({"VpcConfig": vpc} if vpc else {}),
        **({"Layers": layers} if layers else {}),
        "FunctionName": name,
        "Code": package,
        "PackageType": found.get("PackageType", "Zip"),
        "MemorySize": memory,
        "Architectures": [architecture],
        "EphemeralStorage": {"Size": found.get("EphemeralStorage", {}).get("Size", 512)},
        "Environment": {"Variables": {**like.variables, VARIABLE: "0"}},
        "Description": f"Temporary, of `pilotlight tune`, made like {like.name}",
        "Tags": {TAG: like.name},
    }
    client = session.client("lambda")
    with asking(f"making {name}"):
        client.create_function(**properties)
        client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_DELAY)


def _has_vpc(found: Mapping[str, Any]) -> bool:
    return bool(found.get("VpcConfig", {}).get("SubnetIds"))


def renew(session: Session, like: Original, name: str, number: int) -> None:
    """Have the next invocation begin with a cold start. Raises `DeployError`."""
    client = session.client("lambda")
    with asking(f"changing {name}"):
        variables = {**like.variables, VARIABLE: str(number)}
        client.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=_DELAY)


def remove(session: Session, name: str) -> None:
    """Delete a temporary function, whether it is there or not, and its log, where its role let it write one. Raises
    `DeployError`."""
    with asking(f"removing {name}"), absent("ResourceNotFoundException"):
        session.client("lambda").delete_function(FunctionName=name)
    with suppress(AwsRefused), asking(f"removing the log of {name}"), absent("ResourceNotFoundException"):
        session.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")
