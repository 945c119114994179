"""Whether functions that are on AWS can become what they are packed as now, asked before anything is sent.

PackageType is given once (createOnlyProperties in the registry's schema of AWS::Lambda::Function), and the function's
name is fixed, so CloudFormation can make no other function beside it.
"""

from pilotlight.deploy import names
from pilotlight.deploy.session import Session, absent, asking
from pilotlight.deploy.unit import Deployment
from pilotlight.errors import DeployError, StackError

_A = {"zip": "a zip", "image": "an image"}


def check(session: Session, deployment: Deployment) -> None:
    """Raises `StackError` for a zip that would become an image, or an image a zip."""
    for unit in deployment.units:
        name, kind = names.function(unit.function, deployment.stage), unit.artifact.kind
        before = _kind(session, name)
        if before not in ("", kind):
            hint = f'rename the function\'s file, set package = "{before}", or `pilotlight destroy` first'
            raise StackError(f"changing {name}: AWS makes no {kind} of {_A[before]}; nothing was sent", hint)


def _kind(session: Session, name: str) -> str:
    """As `Artifact.kind`; "" for no function, or where it is not known: the change set says it later."""
    try:
        with asking(f"asking what {name} is packed as"), absent("ResourceNotFoundException"):
            found = session.client("lambda").get_function_configuration(FunctionName=name)
            return str(found.get("PackageType", "")).lower()
    except DeployError:
        return ""
    return ""
