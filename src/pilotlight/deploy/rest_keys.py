"""API keys of a REST API, and the usage plans that limit them. AWS makes the keys' values; no template has them."""

from pilotlight.deploy import names
from pilotlight.deploy.cloudformation import Resource, ref, resource
from pilotlight.deploy.unit import Deployment, camel
from pilotlight.settings import UsagePlan


def resources(deployment: Deployment) -> dict[str, Resource]:
    plans = deployment.project.usage_plans.items()
    return {
        **{_id(name): _plan(deployment, name, plan) for name, plan in plans},
        **{f"ApiKey{camel(key)}": _key(deployment, key) for _, plan in plans for key in plan.keys},
        **{f"PlannedKey{camel(key)}": _link(name, key) for name, plan in plans for key in plan.keys},
    }


def outputs(deployment: Deployment) -> dict[str, Resource]:
    """Ids, by which who may read keys finds their values."""
    keys = [key for plan in deployment.project.usage_plans.values() for key in plan.keys]
    return {f"ApiKey{camel(key)}Id": {"Description": key, "Value": ref(f"ApiKey{camel(key)}")} for key in keys}


def _id(plan: str) -> str:
    return f"UsagePlan{camel(plan)}"


def _name(deployment: Deployment, name: str) -> str:
    return f"{names.stack(deployment.project.name, deployment.stage)}-{name}"


def _plan(deployment: Deployment, name: str, plan: UsagePlan) -> Resource:
    throttle, quota = plan.throttle, plan.quota
    limited = {"Throttle": {"RateLimit": throttle.rate, "BurstLimit": throttle.burst}} if throttle else {}
    counted = {"Quota": {"Limit": quota, "Period": plan.period}} if quota else {}
    return resource(
        "ApiGateway::UsagePlan",
        UsagePlanName=_name(deployment, name),
        ApiStages=[{"ApiId": ref("RestApi"), "Stage": ref("RestStage")}],
        **limited,
        **counted,
    )


def _key(deployment: Deployment, key: str) -> Resource:
    return resource("ApiGateway::ApiKey", Name=_name(deployment, key), Enabled=True)


def _link(plan: str, key: str) -> Resource:
    key_id, plan_id = ref(f"ApiKey{camel(key)}"), ref(_id(plan))
    return resource("ApiGateway::UsagePlanKey", KeyId=key_id, KeyType="API_KEY", UsagePlanId=plan_id)
