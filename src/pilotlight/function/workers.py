"""Several processes in one execution environment, each of which takes one invocation at a time.

That is how Python functions run on Lambda Managed Instances: AWS_LAMBDA_MAX_CONCURRENCY processes, each of which loads
the handler itself (docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-python-runtime.html). The environment
is ready when the first of them is, and goes on with those that are left (.../lambda-managed-instances-execution-
environment.html); `awslambdaric` 4.2.2 does not replace one that has ended either.
"""

import os
import sys


def fork(count: int) -> None:
    """Returns in each of the new processes. The one that called stays here for as long as any of them lives, and ends
    as the last of them did that failed."""
    for _ in range(count):
        if os.fork() == 0:
            return
    status = 0
    for _ in range(count):
        _, how = os.wait()
        code = os.waitstatus_to_exitcode(how)
        status = 128 - code if code < 0 else code or status  # 128 and the signal's number, as in shells
    sys.exit(status)
