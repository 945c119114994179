"""Why a stack failed: the first resource that did, AWS's words for it, and what is likely to help. Pure."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from pilotlight.deploy.watch import Event


class Remedy(NamedTuple):
    """`pattern` is looked for in what AWS says, at resources whose type has `kind` in it."""

    kind: str
    pattern: str
    hint: str


# The words are those of the services, as CloudFormation passes them on in ResourceStatusReason.
_REMEDIES = tuple(
    Remedy(*each)
    for each in (
        (
            "Lambda",
            r"MemorySize.*less than or equal to 3008",
            "this account admits 3,008 MB, as new ones do: set `memory` to 3008 at most, or ask AWS Support for more",
        ),
        (
            "Lambda",
            r"decreases account's UnreservedConcurrentExecution",
            "the account has too little concurrency to reserve so much: lower `concurrency` or `provisioned`, or ask "
            'for more of the quota "Concurrent executions" in Service Quotas',
        ),
        (
            "Lambda",
            r"(?i)unzipped size must be smaller|must have.*262144000",
            'the package is too large for a zip: package = "image", or see what is large in it with `pilotlight build`',
        ),
        (
            "Lambda",
            r"NoSuchKey|(?i:S3 error).*does not exist|NoSuchBucket",
            "the package is gone from the artefact bucket: deploy again, which sends it",
        ),
        (
            "Lambda",
            r"(?i)source image .* (does not exist|is not valid)|ImageNotFound|repository .* does not exist",
            "the image, or its repository, is gone from ECR: deploy again, which makes the one and sends the other",
        ),
        (
            "Lambda",
            r"(?i)does not have permission to access the ECR image",
            "the repository's policy does not let Lambda pull: let lambda.amazonaws.com in, or remove the policy and "
            "deploy again",
        ),
        (
            "Lambda",
            r"(?i)image manifest.*(media type|not supported)",
            "Lambda takes one manifest with layers in gzip, no index: push the image that `pilotlight build` makes",
        ),
        (
            "Lambda",
            r"(?i)role defined for the function cannot be assumed",
            "IAM needs a moment for new roles: deploy again",
        ),
        (
            "Lambda",
            r"(?i)snapstart.*(not supported|cannot be|can't be|invalid)|(not supported|cannot).*snapstart",
            "SnapStart goes neither with EFS, provisioned concurrency nor more than 512 MB of /tmp: take one away",
        ),
        (
            "Lambda::Alias",
            r"(?i)invalid alias configuration for provisioned|alias with weights can ?not be used",
            "the alias still divides requests between two versions: `aws lambda update-alias --function-name NAME "
            "--name live --routing-config '{}'` ends that; then deploy again",
        ),
        (
            "Lambda::(Version|Alias)",
            r"(?i)did not stabilize|NotStabilized|initializ|FUNCTION_ERROR_INIT_FAILURE|init (error|failure)",
            "the function's init phase failed or took too long: `pilotlight logs FUNCTION` has what it wrote; "
            "`pilotlight build` runs it here",
        ),
        (
            "",
            r"(?i)EFSMount|mount targets?.*(available|ready|state)|EFS file system.*(mount|access)",
            "the file system could not be mounted yet: deploy again; its security group must admit port 2049",
        ),
        (
            "Lambda|EFS|EC2",
            r"(?i)availability ?zones?.*(doesn.t|does not|not) support|unsupported ?availability ?zone|"
            r"subnets can currently only be created in the following availability zones",
            "one of the first two zones that the region has for this account does not serve Lambda, EFS or new "
            "subnets, and none can be chosen: deploy to another region, or keep models out of EFS: take folder out of "
            "[cache]",
        ),
        (
            "ApiGateway",
            r"(?i)CloudWatch Logs role ARN must be set",
            "REST APIs log by a role of the account: set one in API Gateway's settings of this region",
        ),
        (
            "ApiGateway::UsagePlanKey",
            r"(?i)already|conflict|usage ?plan|409",
            "a key is in one plan of a stage, and CloudFormation adds before it removes: take it out of its old plan "
            "(`aws apigateway delete-usage-plan-key --usage-plan-id OLD_PLAN --key-id KEY`), then deploy again; the "
            "key's value stays",
        ),
        (
            "ApiGateway::RestApi",
            r"(?i)maximum number of resources|number of resources .*(limit|exceed|reached)",
            "a REST API has 300 paths and prefixes of paths until Service Quotas says more: divide the functions among "
            "several services, or ask for more",
        ),
        (
            "EC2",
            r"(?i)maximum number of (VPCs|internet gateways|addresses|network interfaces)|LimitExceeded",
            "the region's quota of networks is used up: raise it in Service Quotas, or remove a VPC that nobody needs",
        ),
        (
            "EC2",
            r"(?i)dependen|in use|DependencyViolation",
            "Lambda gives its network interfaces back within 20 to 40 minutes: the same command again then finishes",
        ),
        (
            "",
            r"(?i)custom-named resource requires replacing",
            "AWS cannot replace what has a fixed name: rename the function or the table, deploy, and rename it back",
        ),
        (
            "",
            r"(?i)already exists?\b|AlreadyExists|ResourceInUse|ResourceConflict.*exist",
            "something outside of the stack has that name: delete it, or give the service another `name` or --stage; "
            "a table that an earlier stack kept is taken over with `keep = true`",
        ),
        (
            "",
            r"(?i)not authorized to perform|AccessDenied|UnauthorizedOperation|(?i:not authorized)",
            "the credentials that deploy need that action: ask who gave them",
        ),
        (
            "",
            r"(?i)termination protection|deletion protection|DeletionProtection",
            "it is protected against deletion: take the protection away first, if it should go",
        ),
        ("S3", r"(?i)not empty", "empty it first: `pilotlight destroy` empties what it made"),
        (
            "CodeDeploy|Lambda::Alias",
            r"(?i)alarm|rollback|deployment .*(failed|stopped)",
            "an alarm went off while the new version took over, and the old one serves again: see `pilotlight logs`",
        ),
        ("", r"(?i)rate exceeded|throttl|TooManyRequests", "AWS asked to wait: deploy again in a minute"),
        ("", r"(?i)(limit|quota).*(exceeded|reached)|LimitExceeded", "a quota is used up: Service Quotas has it"),
        (
            "",
            r"(?i)token .*expired|ExpiredToken",
            "sign in again, then run the same command: CloudFormation uses the credentials that began the deployment",
        ),
        ("", r"(?i)internal ?(failure|error)|service ?unavailable", "AWS had an error of its own: deploy again"),
    )
)
_ID = re.compile(r" ?\((?:RequestToken|Service|SDK Attempt Count)[^()]*(?:\([^()]*\)[^()]*)*\)")


class Failure(NamedTuple):
    """The resource that failed first, what AWS said, and what is likely to help."""

    logical_id: str
    kind: str
    reason: str
    hint: str

    def __str__(self) -> str:
        return f"{self.logical_id} ({self.kind}): {self.reason}"


def first(events: Iterable[Event]) -> Failure | None:
    """The first failure of an operation, whose events are oldest first. None where AWS names no resource."""
    failed = [event for event in events if event.failed]
    own = [event for event in failed if not event.is_of_stack]
    event = next(iter(own or failed), None)
    if event is None:
        return None
    return Failure(event.logical_id, event.kind, tidy(event.reason), remedy(event.kind, event.reason))


def every(events: Iterable[Event]) -> list[Failure]:
    """Each resource that failed, once."""
    found = {event.logical_id: event for event in events if event.failed and not event.is_of_stack}
    return [
        Failure(each.logical_id, each.kind, tidy(each.reason), remedy(each.kind, each.reason))
        for each in found.values()
    ]


def remedy(kind: str, reason: str) -> str:
    """What is likely to help, "" where nothing is known."""
    for each in _REMEDIES:
        if re.search(each.kind, kind) and re.search(each.pattern, reason, re.DOTALL):
            return each.hint
    return ""


def tidy(reason: str) -> str:
    """AWS's words on one line, without the ids that it adds for itself."""
    text = reason.removeprefix("Resource handler returned message: ").strip()
    return " ".join(_ID.sub("", text).split()).strip('"') or "AWS gives no reason"
