"""A template becomes a stack by a change set: made, shown by whoever calls, executed, followed to its end.

CloudFormation keeps the state; nothing is kept here. So each step first looks at what there is, and a command that was
broken off anywhere does the rest when it is run again. What each state of a stack admits:
docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html, "Stack status codes".
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pilotlight.deploy import changes, failures, leftovers, watch
from pilotlight.deploy.changes import Change
from pilotlight.deploy.session import Session, asking, says
from pilotlight.deploy.watch import Event, State
from pilotlight.errors import DeployError, StackError

SERVICE_TAG, STAGE_TAG = "pilotlight:service", "pilotlight:stage"
_CHANGE_SET = "pilotlight-"  # what our change sets are called, before a random rest
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")
UPDATABLE = (
    *("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"),
)
_NEVER_BEGAN = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


class Talk(NamedTuple):
    """How the steps speak: `say` tells a sentence, `event` what CloudFormation does, `ask` gets a yes or no."""

    say: Callable[[str], None]
    event: watch.Told
    ask: Callable[[str], bool]
    sleep: watch.Sleep = time.sleep


class Owner(NamedTuple):
    """Whose stack it is. `stage` is "" for none."""

    service: str
    stage: str = ""

    @property
    def tags(self) -> dict[str, str]:
        return {SERVICE_TAG: self.service, **({STAGE_TAG: self.stage} if self.stage else {})}

    def has(self, state: State) -> bool:
        return (state.tags.get(SERVICE_TAG), state.tags.get(STAGE_TAG, "")) == self


class Prepared(NamedTuple):
    """A change set that waits to be executed; `creates` when there is no stack yet but for its name."""

    name: str
    stack_id: str
    change_set: str
    creates: bool
    changes: tuple[Change, ...]


def check_owner(session: Session, name: str, owner: Owner, state: State) -> None:
    """Raises `StackError` when somebody else has the name: a service `a-b` and a stage `b` of `a` are one name too."""
    if not state.status or owner.has(state):
        return
    if state.status == "REVIEW_IN_PROGRESS" and not state.tags:
        return _check_first(session, name, owner, state)
    whose, stage = state.tags.get(SERVICE_TAG), state.tags.get(STAGE_TAG)
    of_stage = f", stage {stage}" if stage else ""
    made = f"of the service {whose}{of_stage}" if whose else "that Pilotlight did not make"
    raise StackError(f"there is a stack {name} {made}", "give the service another `name`, or another --stage")


def _check_first(session: Session, name: str, owner: Owner, state: State) -> None:
    """A stack that waits for its first change set has no tags yet, but its change sets have those that it will get."""
    client = session.client("cloudformation")
    with asking(f"reading the change sets of {name}"):
        pages = client.get_paginator("list_change_sets").paginate(StackName=state.id)
        found = [each for page in pages for each in page["Summaries"]]
        if found and all(each["ChangeSetName"].startswith(_CHANGE_SET) for each in found):
            made = [client.describe_change_set(ChangeSetName=each["ChangeSetId"]) for each in found]
            if all(owner.has(State(tags=watch.tags(each))) for each in made):
                return
    remove = f"aws cloudformation delete-stack --stack-name {name}{session.options}"
    raise StackError(
        f"there is a stack {name} that waits for its first change set, and nothing says that Pilotlight made it",
        f"if nobody needs it: {remove}; else give the service another `name`, or another --stage",
    )


def settle(session: Session, name: str, owner: Owner, talk: Talk) -> State:
    """Bring the stack where a change set can be made: wait for what goes on, finish what broke.

    Raises `StackError` for a state that only its owner can leave.
    """
    state = watch.state(session, name)
    check_owner(session, name, owner, state)
    if state.in_progress:
        state = joined(session, name, state, talk)
    if state.status in _NEVER_BEGAN:
        return _removed(session, name, state, talk)
    if state.status in ("UPDATE_ROLLBACK_FAILED", "UPDATE_FAILED"):
        return _rolled_back(session, name, state, talk)
    if state.status == "DELETE_FAILED":
        failure = failures.first(watch.operation(session, state.id))
        reason = f": {failure}" if failure else ""
        raise StackError(f"{name} was to be deleted, which failed{reason}", _finish_deletion(owner, failure))
    if state.status in ("", "DELETE_COMPLETE"):
        return State()
    if state.status in UPDATABLE or state.status == "REVIEW_IN_PROGRESS":
        return state
    raise StackError(f"{name} is {state.status}: {state.reason}", "bring it to an end in the console of CloudFormation")


def _finish_deletion(owner: Owner, failure: failures.Failure | None) -> str:
    stage = f" --stage {owner.stage}" if owner.stage else ""
    first = f"{failure.hint}; then " if failure and failure.hint else ""
    return f"{first}run `pilotlight destroy{stage}` until it is gone, then deploy"


def joined(session: Session, name: str, state: State, talk: Talk) -> State:
    talk.say(f"{name} is {state.status}: waiting until that has ended")
    before = watch.operation(session, state.id)
    for event in before:
        talk.event(event)
    state, after = watch.follow(session, state.id, before[-1].id if before else "", talk.event, talk.sleep)
    _tell_leftovers(session, [*before, *after], talk)
    failure = failures.first([*before, *after])
    if failure and state.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"):
        talk.say(f"that ended as {state.status}: {failure}")
    return state


def _tell_leftovers(session: Session, events: Sequence[Event], talk: Talk) -> None:
    for line in leftovers.said(leftovers.of(events, session.options)):
        talk.say(line)


def _removed(session: Session, name: str, state: State, talk: Talk) -> State:
    """A stack that was never made whole serves nobody, and can only be deleted."""
    failure = failures.first(watch.operation(session, state.id))
    why = f" ({failure})" if failure else ""
    if not talk.ask(f"{name} could not be created before{why} and is {state.status}: remove it and create it anew?"):
        raise StackError(f"{name} is {state.status}", "such a stack can only be deleted: answer yes, or give --yes")
    after = watch.last(session, state.id)
    with asking(f"deleting {name}"):
        session.client("cloudformation").delete_stack(StackName=state.id, ClientRequestToken=token())
    state, events = watch.follow(session, state.id, after, talk.event, talk.sleep)
    if state.status not in ("", "DELETE_COMPLETE"):
        raise failed("deleting", name, state, events)
    return State()


def _rolled_back(session: Session, name: str, state: State, talk: Talk) -> State:
    """Only going on with the rollback leads out of UPDATE_ROLLBACK_FAILED, and only a rollback, or an update that keeps
    what failed, out of UPDATE_FAILED."""
    failure = failures.first(_since_rollback(watch.operation(session, state.id)))
    why = f" ({failure})" if failure else ""
    if not talk.ask(f"{name} is {state.status}{why}: go on with its rollback?"):
        raise StackError(f"{name} is {state.status}{why}", _out_of_rollback(name, failure, session))
    after = watch.last(session, state.id)
    client = session.client("cloudformation")
    with asking(f"rolling {name} back"):
        begin = client.continue_update_rollback if state.status == "UPDATE_ROLLBACK_FAILED" else client.rollback_stack
        begin(StackName=state.id, ClientRequestToken=token())
    state, events = watch.follow(session, state.id, after, talk.event, talk.sleep)
    if state.status not in UPDATABLE:
        failure = failures.first(events)
        said = f": {failure}" if failure else ""
        raise StackError(f"rolling {name} back{said}", _out_of_rollback(name, failure, session))
    return state


def _since_rollback(events: Sequence[Event]) -> Sequence[Event]:
    """The rollback's own failures, not what it was begun for."""
    begun = [at for at, event in enumerate(events) if event.is_of_stack and "ROLLBACK_IN_PROGRESS" in event.status]
    return events[begun[-1] if begun else 0 :]


def _out_of_rollback(name: str, failure: failures.Failure | None, session: Session) -> str:
    skipped = failure.logical_id if failure else "RESOURCE"
    command = f"aws cloudformation continue-update-rollback --stack-name {name} --resources-to-skip {skipped}"
    first = (
        failure.hint if failure and failure.hint else "mend what the rollback needs, such as a resource deleted by hand"
    )
    return f"{first}, and deploy again; or leave it out: {command}{session.options}"


def prepare(
    session: Session, name: str, owner: Owner, template: str, tags: Mapping[str, str], takes_over: bool, talk: Talk
) -> Prepared | None:
    """A change set towards the template at the URL `template`; None when there is nothing to change.

    `takes_over`: resources of the template that exist outside of the stack are imported, where they are kept on
    deletion, as tables are after `destroy --keep-records`.
    """
    state = settle(session, name, owner, talk)
    creates = state.status in ("", "REVIEW_IN_PROGRESS")
    unique = f"{_CHANGE_SET}{token()}"
    with asking(f"making a change set for {name}"):
        made = session.client("cloudformation").create_change_set(
            StackName=name,
            ChangeSetName=unique,
            ClientToken=unique,
            ChangeSetType="CREATE" if creates else "UPDATE",
            TemplateURL=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": key, "Value": value} for key, value in {**tags, **owner.tags}.items()],
            ImportExistingResources=takes_over,
        )
    if state.status:
        _discard_old(session, state.id, unique)
    prepared = Prepared(name, made["StackId"], made["Id"], creates, ())
    found = _described(session, prepared, talk)
    if found["Status"] == "FAILED":
        _refuse(session, prepared, found.get("StatusReason", ""))
        return None
    return prepared._replace(changes=changes.read(found["Changes"]))


def token() -> str:
    return uuid.uuid4().hex


def _discard_old(session: Session, stack_id: str, but: str) -> None:
    """Our change sets that nobody executed: a command was broken off, or answered with no. After there is another one:
    a stack that waits for its first is known as ours by that alone."""
    client = session.client("cloudformation")
    with asking("removing change sets that were not executed"):
        for page in client.get_paginator("list_change_sets").paginate(StackName=stack_id):
            for each in page["Summaries"]:
                if each["ChangeSetName"].startswith(_CHANGE_SET) and each["ChangeSetName"] != but:
                    client.delete_change_set(ChangeSetName=each["ChangeSetId"])


def _described(session: Session, prepared: Prepared, talk: Talk) -> dict[str, Any]:
    """The change set once it is made, with the changes of all pages."""
    client = session.client("cloudformation")
    while True:
        with asking(f"reading the change set for {prepared.name}"):
            pages = [*client.get_paginator("describe_change_set").paginate(ChangeSetName=prepared.change_set)]
        if pages[0]["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
            return {**pages[0], "Changes": [change for page in pages for change in page.get("Changes", ())]}
        talk.sleep(watch.EVERY)


def _refuse(session: Session, prepared: Prepared, reason: str) -> None:
    """Nothing is left of a change set that says there is no change, nor of one that failed. Raises for the latter."""
    is_same = any(text in reason for text in _NO_CHANGE)
    said = "" if is_same else _validation(session, prepared)
    withdraw(session, prepared)
    if not is_same:
        text = failures.tidy(said or reason)
        hint = (
            failures.remedy("", text) or "what is wrong in the template is named above: `pilotlight template` prints it"
        )
        raise StackError(f"making a change set for {prepared.name}: {text}", hint)


def _validation(session: Session, prepared: Prepared) -> str:
    """What CloudFormation found before it would begin, by resource: its reason for the change set only says that there
    was something. "" where it does not tell."""
    try:
        with asking("reading why the change set failed"):
            found = session.client("cloudformation").describe_events(
                ChangeSetName=prepared.change_set, Filters={"FailedEvents": True}
            )["OperationEvents"]
    except DeployError:
        return ""
    lines = [
        f"{event.get('LogicalResourceId', '')}: {event['ValidationStatusReason']}"
        for event in found
        if event.get("EventType") == "VALIDATION_ERROR" and event.get("ValidationStatusReason")
    ]
    return "; ".join(dict.fromkeys(lines))


def withdraw(session: Session, prepared: Prepared) -> None:
    """Leave no trace of a change set that is not executed: one of a new stack has made an empty stack of its name, and
    goes with that in one request. Between two there would be a stack of which nothing says whose it is."""
    client = session.client("cloudformation")
    with asking(f"removing the change set for {prepared.name}"):
        if prepared.creates:
            client.delete_stack(StackName=prepared.stack_id)
        else:
            client.delete_change_set(ChangeSetName=prepared.change_set)


def execute(session: Session, prepared: Prepared, talk: Talk) -> State:
    """Execute and follow it to its end; the stack as it is then, with its outputs.

    Raises `StackError` with the first resource that failed. An interrupt stops the watching alone: CloudFormation goes
    on, and the next `prepare` waits for it.
    """
    after = watch.last(session, prepared.stack_id)
    try:
        with asking(f"deploying {prepared.name}"):
            session.client("cloudformation").execute_change_set(
                ChangeSetName=prepared.change_set, ClientRequestToken=token(), RetainExceptOnCreate=True
            )
    except DeployError as error:
        if not says(error, "InvalidChangeSetStatus", "EXECUTE_"):  # an answer was lost, and boto3 asked once more
            raise
    state, events = watch.follow(session, prepared.stack_id, after, talk.event, talk.sleep)
    _tell_leftovers(session, events, talk)
    if state.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise failed("creating" if prepared.creates else "updating", prepared.name, state, events)
    return state


_ENDS = {
    "ROLLBACK_COMPLETE": "all of it was taken back; the same command removes what is left of the stack and begins anew",
    "UPDATE_ROLLBACK_COMPLETE": "everything is as it was before",
    "UPDATE_ROLLBACK_FAILED": "taking it back failed too; the same command goes on with that",
    "ROLLBACK_FAILED": "taking it back failed too; the same command removes what is left",
    "DELETE_FAILED": "what could not be deleted is still there",
}


def failed(doing: str, name: str, state: State, events: Sequence[Event]) -> StackError:
    """What the user is told of an operation that failed."""
    failure = failures.first(events)
    reason = str(failure) if failure else f"{state.status}: {state.reason or 'AWS gives no reason'}"
    hint = failure.hint if failure and failure.hint else "`pilotlight status` shows what else failed"
    end = _ENDS.get(state.status, "")
    return StackError(f"{doing} {name}: {reason}", f"{hint} ({end})" if end else hint)
