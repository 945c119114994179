import os
import tempfile
from pathlib import Path

CACHE = Path("/tmp") / "cache"


def handler(event, context):
    CACHE.mkdir(exist_ok=True)
    (CACHE / "last.json").write_text(Path("labels.txt").read_text())
    with open(os.path.join("/tmp", "requests.log"), "a") as log, open("labels.txt", "rb") as labels:
        log.write(str(len(labels.read())))
    with open(tempfile.mkdtemp() + "/x", "w") as file:
        file.write("")
    return {}


if __name__ == "__main__":
    Path("out.txt").write_text("of a run by hand")
