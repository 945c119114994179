"""What of Pilotlight itself is in every package: the code that functions import, and what starts the runtime loop."""

from collections.abc import Iterator
from pathlib import Path

import pilotlight
from pilotlight.bundle import files
from pilotlight.bundle.files import EXECUTABLE, Entry

MODULES = ("__init__.py", "errors.py", "events.py", "limits.py", "tuples.py", "values.py")
START = "pilotlight-runtime"
TASK_ROOT = "/var/task"
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
"""The variable with the program that a managed runtime starts instead of its own, and hands its own command:
docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html."""

_SCRIPT = """\
#!/bin/sh
# Starts Pilotlight's runtime loop. Of a zip, as AWS_LAMBDA_EXEC_WRAPPER: the arguments are the command of the managed
# runtime, which begins with its interpreter's path. Of an image, as ENTRYPOINT: the argument is the handler.
case "$1" in
  /*) python=$1 ;;
  *) python={python} _HANDLER=${{1:-$_HANDLER}} ;;
esac
export _HANDLER LAMBDA_TASK_ROOT="${{LAMBDA_TASK_ROOT:-{root}}}"
export PYTHONPATH="$LAMBDA_TASK_ROOT${{PYTHONPATH:+:$PYTHONPATH}}"
exec "$python" -c 'from pilotlight.function.runtime import main; main()'
"""


def entries(python: str) -> Iterator[Entry]:
    """Modules of Pilotlight's, and the script `START` for the interpreter that is called `python` in an image."""
    package = Path(pilotlight.__file__).parent
    yield from (files.of_file(f"pilotlight/{name}", package / name) for name in MODULES)
    for entry in files.of_folder(package, package / "function", lambda path: path.endswith(("__pycache__/", ".pyc"))):
        yield entry._replace(path=f"pilotlight/{entry.path}")
    yield Entry(START, _SCRIPT.format(python=python, root=TASK_ROOT).encode(), EXECUTABLE)
