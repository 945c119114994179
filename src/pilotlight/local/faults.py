"""Faults to try: an environment is killed or frozen, a function is throttled, its init phase takes longer.

They are real: the process gets the signal. What was done is said in the function's log.
"""

from pilotlight.errors import NotFound, UsageError
from pilotlight.local.environment import Environment
from pilotlight.local.fleet import Fleet
from pilotlight.local.pool import Pool

SLOWEST = 900_000  # ms that an init phase may be made longer


def kill(pool: Pool, number: str) -> None:
    """SIGKILL to an environment, whatever runs in it. Raises NotFound, UsageError."""
    fleet, environment = _find(pool, number)
    _say(fleet, f"Environment {number} (pid {environment.pid}) was killed by you")
    environment.kill("killed by you")


def freeze(pool: Pool, number: str) -> None:
    """SIGSTOP to an environment; it may get requests still. Raises NotFound, UsageError."""
    fleet, environment = _find(pool, number)
    if environment.state == "frozen":
        raise UsageError(f"environment {number} is frozen already", "thaw it")
    if environment.state == "init":
        raise UsageError(f"environment {number} starts still", "wait until it is idle or runs, or use slow init")
    environment.freeze()
    _say(fleet, f"Environment {number} (pid {environment.pid}) was frozen by you")


def thaw(pool: Pool, number: str) -> None:
    """SIGCONT to an environment that was frozen. Raises NotFound, UsageError."""
    fleet, environment = _find(pool, number)
    if environment.state != "frozen":
        raise UsageError(f"environment {number} is not frozen", "freeze it first")
    environment.thaw()
    _say(fleet, f"Environment {number} (pid {environment.pid}) was thawed by you")


def change(pool: Pool, key: str, throttle: bool | None, slow_init_ms: int | None) -> None:
    """What is to go wrong with a function from now on; None leaves it as it is. Raises NotFound."""
    fleet = _fleet(pool, key)
    faults = fleet.faults
    if throttle is not None and throttle != faults.throttle:
        faults = faults._replace(throttle=throttle)
        _say(fleet, f"Requests are {'throttled' if throttle else 'not throttled any more'}, as you asked for")
    if slow_init_ms is not None and slow_init_ms / 1000 != faults.slow_init:
        faults = faults._replace(slow_init=slow_init_ms / 1000)
        _say(fleet, f"Init phases take {slow_init_ms} ms longer, as you asked for")
    pool.set_faults(key, faults)


def _find(pool: Pool, number: str) -> tuple[Fleet, Environment]:
    for fleet in pool.fleets():
        for environment in fleet.environments:
            if environment.id == number:
                return fleet, _living(environment)
    raise NotFound(f"there is no environment {number}", "it may have ended")


def _living(environment: Environment) -> Environment:
    if environment.state == "dead":
        raise UsageError(f"environment {environment.id} ends already")
    if not environment.pid:
        raise UsageError(f"environment {environment.id} has no process yet")
    return environment


def _fleet(pool: Pool, key: str) -> Fleet:
    for fleet in pool.fleets():
        if fleet.function.key == key:
            return fleet
    raise NotFound(f"there is no function {key}")


def _say(fleet: Fleet, text: str) -> None:
    fleet.log(f"[INFO] {text}")
