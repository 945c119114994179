"""Checks of what a function's code does that Lambda does not let it do."""

from collections.abc import Iterator
from typing import NamedTuple

from pilotlight.deploy import network
from pilotlight.deploy.doctor.code import Call, Code, literal
from pilotlight.deploy.doctor.finding import Finding, Problem, finding
from pilotlight.project import Function, Project

# Each asks for a semaphore or for memory, which Linux's C library and Python keep in /dev/shm: sem_overview(7),
# shm_overview(7), multiprocessing/heap.py. ThreadPool too, by the SimpleQueue of multiprocessing.pool.Pool.
SHARED = frozenset(
    f"multiprocessing.{name}"
    for name in (
        *("Pool", "Queue", "JoinableQueue", "SimpleQueue", "Lock", "RLock", "Semaphore", "BoundedSemaphore"),
        *("Condition", "Event", "Barrier", "Value", "Array", "RawValue", "RawArray"),
        *("pool.Pool", "pool.ThreadPool", "dummy.Pool", "queues.Queue", "shared_memory.SharedMemory"),
    )
) | {"concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process.ProcessPoolExecutor"}
_OF_LIBRARIES = {"joblib.Parallel"}
_LOADER = "torch.utils.data.DataLoader"
_THREADS = "use concurrent.futures.ThreadPoolExecutor, or multiprocessing.Process with a Pipe"

_WRITABLE = ("/tmp", "/dev/null", "/dev/stdout", "/dev/stderr", "/proc/self")
_MODES = frozenset("wax+")
_WRITERS = {  # a function -> which argument is the path, and its keyword
    **{f"os.{name}": (0, "path") for name in ("makedirs", "mkdir", "remove", "unlink", "truncate", "mkfifo")},
    **{f"shutil.{name}": (1, "dst") for name in ("copy", "copy2", "copyfile", "copytree", "move")},
    **{f"numpy.{name}": (0, "file") for name in ("save", "savez", "savez_compressed", "savetxt")},
    "os.rename": (1, "dst"),
    "shutil.rmtree": (0, "path"),
    "sqlite3.connect": (0, "database"),
    "logging.FileHandler": (0, "filename"),
    "logging.handlers.RotatingFileHandler": (0, "filename"),
    "torch.save": (1, "f"),
    "urllib.request.urlretrieve": (1, "filename"),
}
_METHODS = {"write_text", "write_bytes", "mkdir", "touch", "unlink", "symlink_to"}

_CACHES = {  # what writes below the home folder, by its import -> the variable that says where to instead
    "transformers": "HF_HOME",
    "huggingface_hub": "HF_HOME",
    "sentence_transformers": "HF_HOME",
    "diffusers": "HF_HOME",
    "datasets": "HF_HOME",
    "torch.hub": "TORCH_HOME",
    "torchvision.models": "TORCH_HOME",
    "tensorflow_hub": "TFHUB_CACHE_DIR",
    "keras": "KERAS_HOME",
    "nltk": "NLTK_DATA",
    "gensim.downloader": "GENSIM_DATA_DIR",
    "matplotlib": "MPLCONFIGDIR",
    "numba": "NUMBA_CACHE_DIR",
    "librosa": "NUMBA_CACHE_DIR",
}
_HEADER = "access-control-allow-origin"
_ENDPOINTS = ("pilotlight.endpoint", "pilotlight.function.endpoint")
_MIDDLEWARE = ("flask_cors", "starlette.middleware.cors", "fastapi.middleware.cors", "aiohttp_cors", "django_cors")


class Subject(NamedTuple):
    """One function, its project, and its code as far as it was followed."""

    project: Project
    function: Function
    code: Code


def shared_memory(subject: Subject) -> Finding:
    """Lambda has no /dev/shm: what is kept there fails, with errno 38 or 2."""
    problems = [
        *(Problem(f"{call.place}: {call.name} needs /dev/shm", _THREADS) for call in _semaphores(subject.code)),
        *(
            Problem(f"{place}: {text!r} is not there", "write to /tmp")
            for text, place in subject.code.texts
            if text.startswith("/dev/shm")
        ),
    ]
    return finding("/dev/shm", subject.function.name, "nothing asks for it", problems)


def _semaphores(code: Code) -> Iterator[Call]:
    for call in code.calls:
        has_workers = call.name == _LOADER and literal(call.argument(5, "num_workers")) not in (0, None)
        if call.name in SHARED | _OF_LIBRARIES or has_workers:
            yield call


def read_only(subject: Subject) -> Finding:
    """On Lambda only /tmp can be written, and where EFS is mounted."""
    mounted = network.place(subject.function) if network.is_mounted(subject.function) else ""
    writable = (*_WRITABLE, *([mounted] if mounted else []))
    problems = [*_writes(subject.code, writable), *_home_caches(subject)]
    return finding("read-only file system", subject.function.name, "nothing is written outside /tmp", problems)


def _writes(code: Code, writable: tuple[str, ...]) -> Iterator[Problem]:
    for call in code.calls:
        path = _written(call)
        if path is not None and path != ":memory:" and not _is_below(path, writable):
            seen = f"{call.place}: {call.name.removeprefix('.')} writes below {path!r}"
            yield Problem(seen, "write to /tmp, or keep it in a table or in S3")


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _written(call: Call) -> str | None:
    """How the path begins that a call writes to; None where it writes to none, or that is not known."""
    method = call.node.func.attr if hasattr(call.node.func, "attr") else ""
    if call.name in ("open", "io.open", "codecs.open"):
        return call.path(0, "file") if _writes_in(call, 1) else None
    if call.name in _WRITERS:
        return call.path(*_WRITERS[call.name])
    if method in _METHODS or (method == "open" and _writes_in(call, 0)):
        owner = getattr(call.node.func, "value", None)
        return call.module.root_of(owner) if owner is not None else None
    return None


def _writes_in(call: Call, position: int) -> bool:
    mode = literal(call.argument(position, "mode"))
    return isinstance(mode, str) and bool(_MODES & set(mode)) and set(mode) <= set("rwaxbt+")


def _home_caches(subject: Subject) -> Iterator[Problem]:
    said = {*subject.function.environment, *(text for text, _ in subject.code.texts)}
    for library, variable in _CACHES.items():
        place = next((place for _, place in subject.code.imported(library)), "")
        if place and variable not in said:
            seen = f"{place}: {library} keeps a cache in the home folder, which cannot be written"
            remedy = f'set environment = {{ {variable} = "/tmp/{library.partition(".")[0]}" }}'
            yield Problem(seen, remedy, "warning")


_URL = "a function URL adds a second one, and a browser refuses an answer with two"
_HTTP = "an HTTP API drops it for what [cors] says"
_TYPED = "an @endpoint replaces it by what [cors] says"
_LEAVE = "leave the headers to [cors], or take [cors] out of pilotlight.toml"
_ADD = "set access-control-allow-origin in its answers, or make it an @endpoint, which does"


def cors(subject: Subject) -> Finding:
    """CORS is the gateway's or the function's, not both: docs.aws.amazon.com/apigateway/latest/developerguide/
    http-api-cors.html, docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html. A REST API has none for answers:
    decision 28."""
    name = subject.function.name
    own = list(_own_cors(subject.code))
    if subject.project.cors is None:
        return finding("CORS twice", name, "the function's own alone" if own else "there is none", ())
    return finding("CORS twice", name, "one says it", _problems_of_cors(subject, own))


def _problems_of_cors(subject: Subject, own: list[tuple[str, str]]) -> Iterator[Problem]:
    front, typed = subject.function.front, any(subject.code.imported(*_ENDPOINTS))
    if front == "rest" and not typed:
        if not own and subject.function.routes:
            yield Problem("a REST API passes its answers on as they are, and it sets no CORS headers", _ADD, "warning")
        return
    why = {"url": _URL, "http": _HTTP, "rest": _TYPED}[front]
    for what, place in own:
        yield Problem(f"{place}: {what}: {why}", _LEAVE, "failed" if front == "url" else "warning")


def _own_cors(code: Code) -> Iterator[tuple[str, str]]:
    for text, place in code.texts:
        if text.lower() == _HEADER:
            yield f"the function sets {text}", place
    for name, place in code.imported(*_MIDDLEWARE):
        yield f"{name.partition('.')[0]} sets CORS headers", place
