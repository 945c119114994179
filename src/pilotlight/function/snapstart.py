"""What SnapStart asks of a runtime: hooks before a snapshot is taken, and after it has been restored.

Functions register them with AWS's package `snapshot_restore_py`, which is of no concern where nobody has imported it.
Order of the hooks, error types and exit statuses: `awslambdaric` 4.2.2.
"""

import sys

from pilotlight.function.runtime_client import RuntimeApi


class HookError(Exception):
    """A hook failed that was to be run before the snapshot; `__cause__` is what it raised."""


def run_before_snapshot() -> None:
    """Run the hooks, the last registered first. Raises `HookError`."""
    package = sys.modules.get("snapshot_restore_py")
    hooks = package.get_before_snapshot() if package else []
    try:
        while hooks:
            hook, args, kwargs = hooks.pop()
            hook(*args, **kwargs)
    except BaseException as error:  # the boundary to user code; there even SystemExit is the hook's error
        raise HookError from error


def restore(api: RuntimeApi) -> None:
    """Wait until the snapshot has been taken and restored, then run the hooks, the first registered first."""
    api.await_restore()
    package = sys.modules.get("snapshot_restore_py")
    try:
        for hook, args, kwargs in package.get_after_restore() if package else []:
            hook(*args, **kwargs)
    except BaseException as error:  # as above
        from pilotlight.function.failures import fail_restore

        fail_restore(api, error)
    api.close()
