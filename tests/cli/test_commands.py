"""The commands as they are typed: exit code, stdout and stderr, for what works and for what does not."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from conftest import write

EXAMPLES = Path(__file__).parents[2] / "examples"

Done = tuple[int, str, str]


def run(
    *arguments: str | bytes | Path,
    folder: Path | None = None,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
) -> Done:
    """Exit code, stdout and stderr of `pilotlight ARGUMENTS` in `folder`; never is there a traceback of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "pilotlight", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, **(environ or {})},
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "pilotlight/cli" not in err + out
    return done.returncode, out, err


def unreported(done: Done) -> Done:
    """Without the line that Lambda ends the log of an invocation with."""
    status, out, err = done
    before, found, report = err.rpartition("REPORT RequestId: ")
    assert found
    assert "\tInit Duration: " in report
    return status, out, before


def said(done: Done) -> tuple[int, str]:
    """Exit code and stderr of a command that printed nothing to stdout."""
    status, out, err = done
    assert out == ""
    return status, err


# help, versions, mistakes


@pytest.mark.parametrize("command", [[], ["new"], ["serve"], ["invoke"], ["completion"]])
def test_help_shows_examples(command: list[str]) -> None:
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(" ".join(["Usage: pilotlight", *command]))
    examples = out.partition("\n  Examples:\n")[2].splitlines()
    assert examples
    assert all("pilotlight" in example for example in examples)


def test_the_version() -> None:
    assert run("--version") == (0, "pilotlight, version 0.1.0\n", "")


def test_no_command_shows_the_help() -> None:
    status, err = said(run())
    assert (status, err.startswith("Usage: pilotlight [OPTIONS] COMMAND")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["sevre"], "No such command 'sevre'. Did you mean 'serve'?", "`pilotlight --help` shows how it is used"),
        (["serve", "--prot", "1"], "No such option '--prot'. (Did you mean one of: '--host', '--port'?)",
         "`pilotlight serve --help` shows how it is used"),
        (["invoke"], "Missing argument 'NAME'.", "`pilotlight invoke --help` shows how it is used"),
        (["invoke", "a", "--event", "a.json", "--data", "{}", "--dir", EXAMPLES / "minimal"],
         "there is no function 'a' in " + str(EXAMPLES / "minimal"), "it has hello"),
        (["invoke", "hello", "--event", "a.json", "--data", "{}", "--dir", EXAMPLES / "minimal"],
         "--event and --data exclude each other", "`pilotlight invoke --help` shows how it is used"),
        (["completion", "tcsh"], "Invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'.",
         "`pilotlight completion --help` shows how it is used"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_a_hint(arguments: list[str | Path], message: str, hint: str) -> None:
    assert said(run(*arguments)) == (2, f"error: {message}\nhint: {hint}\n")


def test_a_mistake_is_one_object_for_programs() -> None:
    status, out, err = run("invoke", "--json")
    error = {"error": "Missing argument 'NAME'.", "hint": "`pilotlight invoke --help` shows how it is used"}
    assert (status, json.loads(out)) == (2, error)
    assert err == f"error: {error['error']}\nhint: {error['hint']}\n"


# new


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_new_makes_a_service_that_can_be_invoked(tmp_path: Path) -> None:
    made = "Made minimal from the template minimal.\nNext: pilotlight serve minimal\n"
    assert run("new", "minimal", folder=tmp_path) == (0, made, "")
    assert files(tmp_path) == [
        "minimal/README.md",
        "minimal/events/hello.json",
        "minimal/inference/hello.py",
        "minimal/pilotlight.toml",
    ]
    assert unreported(run("invoke", "hello", folder=tmp_path / "minimal")) == (0, '{"greeting": "Hello, Ada!"}\n', "")


def test_new_leaves_the_weights_to_their_command(tmp_path: Path) -> None:
    status, out, err = run("new", "sentences", "deep/review", "--json", folder=tmp_path)
    assert (status, json.loads(out), err) == (0, {"template": "sentences", "folder": "deep/review"}, "")
    made = files(tmp_path / "deep/review")
    assert {"inference/kim_cnn.py", "tokens.py", "train/kim_cnn/train.py", "events/kim_cnn.json"} < set(made)
    assert [name for name in made if name.startswith("models/") or "__pycache__" in name] == []
    status, err = said(run("invoke", "kim_cnn", folder=tmp_path / "deep/review"))
    message, hint = err.splitlines()
    assert (status, message) == (1, "error: the model of kim_cnn is not installed")
    assert hint == "hint: install it with: sh train/install.sh"


def test_new_fills_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("new", "minimal", "empty", folder=tmp_path)[0] == 0
    assert (tmp_path / "empty/pilotlight.toml").exists()
    (tmp_path / "here").mkdir()
    assert run("new", "minimal", ".", folder=tmp_path / "here")[0] == 0
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(
        path.name for path in (tmp_path / "empty").iterdir()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "here"]


@pytest.mark.parametrize("name", ["a folder", "a file"])
def test_new_touches_nothing_that_is_there(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"a folder/mine.txt": "mine\n", "a file": "mine\n"})
    text = f"error: making {name}: it is there already and not empty\nhint: name a folder that is not there yet\n"
    assert said(run("new", "minimal", name, folder=tmp_path)) == (2, text)
    assert files(tmp_path) == ["a file", "a folder/mine.txt"]


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("sentence", "did you mean 'sentences'? the templates are "),
        ("nothing-of-the-kind", "the templates are "),
    ],
)
def test_new_knows_its_templates(tmp_path: Path, template: str, hint: str) -> None:
    status, err = said(run("new", template, folder=tmp_path))
    first, second = err.splitlines()
    assert (status, first) == (2, f"error: there is no template {template!r}")
    assert second.startswith(f"hint: {hint}")
    assert {"minimal", "sentences"} <= set(second.rpartition(" are ")[2].split(", "))
    assert files(tmp_path) == []


def test_new_where_nothing_can_be_made(tmp_path: Path) -> None:
    write(tmp_path, {"file": ""})
    assert said(run("new", "minimal", "file/service", folder=tmp_path)) == (
        2,
        "error: making file/service: File exists\nhint: name another folder\n",
    )


# invoke

FUNCTIONS = {
    "inference/echo.py": """
        def handler(event, context):
            print("called")
            return event
        """,
    "events/echo.json": '{"saved": "é"}',
    "inference/fails.py": """
        def handler(event, context):
            raise ValueError("no\\nluck")
        """,
    "inference/imports.py": "import nothing_of_that_name\n\ndef handler(event, context):\n    return event\n",
    "inference/syntax.py": "def handler(event, context:\n",
    "inference/exits.py": "import os\n\ndef handler(event, context):\n    os._exit(3)\n",
    "inference/slow.py": "import time\n\ndef handler(event, context):\n    time.sleep(60)\n",
    "inference/nan.py": "def handler(event, context):\n    return float('nan')\n",
    "inference/absent.py": "def handler(event, context):\n    return event\n",
    "inference/typed.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(count: int) -> int:
            return count
        """,
    "pilotlight.toml": """
        [functions.slow]
        timeout = 1
        [functions.absent]
        model = "models/absent"
        install = "make absent"
        """,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cli") / "service", FUNCTIONS)


@pytest.mark.parametrize(
    ("arguments", "stdin", "answer"),
    [
        (["echo"], b"", '{"saved": "é"}'),
        (["service--echo"], b"", '{"saved": "é"}'),
        (["echo", "--data", '["a", 1]'], b"", '["a", 1]'),
        (["echo", "--event", "events/echo.json"], b"", '{"saved": "é"}'),
        (["echo", "--event", "-"], b'{"from": "stdin"}', '{"from": "stdin"}'),
    ],
)
def test_invoke_takes_the_event_from(service: Path, arguments: list[str], stdin: bytes, answer: str) -> None:
    """The answer alone is on stdout; what the function prints goes to stderr."""
    assert unreported(run("invoke", *arguments, folder=service, stdin=stdin)) == (0, f"{answer}\n", "called\n")


def test_invoke_without_an_event_sends_an_empty_object(service: Path) -> None:
    status, out, _ = run("invoke", "typed", folder=service)
    assert (status, json.loads(out)["errorMessage"]) == (1, "count: missing")


NOT_JSON = "names and texts are in double quotes, and all of it in single quotes for the shell"


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "message", "hint"),
    [
        (["ehco"], b"", 2, "there is no function 'ehco' in {root}", "did you mean 'echo'? it has {names}"),
        (["xyz"], b"", 2, "there is no function 'xyz' in {root}", "it has {names}"),
        (["echo", "--dir", "no"], b"", 2, "no: there is no such folder", "`pilotlight new` starts a project"),
        (["echo", "--data", "{'a': 1}"], b"", 2,
         "reading the event from --data: it is not JSON: Expecting property name enclosed in double quotes: line 1 "
         "column 2 (char 1)", NOT_JSON),
        (["echo", "--event", "-"], b"", 2,
         "reading the event from stdin: it is not JSON: Expecting value: line 1 column 1 (char 0)", NOT_JSON),
        (["echo", "--event", "inference/echo.py"], b"", 2,
         "reading the event from inference/echo.py: it is not JSON: Expecting value: line 1 column 1 (char 0)",
         NOT_JSON),
        (["echo", "--event", "no.json"], b"", 2, "reading the event from no.json: No such file or directory",
         "--data takes the event itself, --event - reads it from stdin"),
        (["echo", "--data", b'"\xff"'], b"", 2,
         "reading the event from --data: it is not JSON: 'utf-8' codec can't decode byte 0xff in position 1: invalid "
         "start byte", NOT_JSON),
        (["syntax"], b"", 1, "inference/syntax.py, line 1: this is not Python: '(' was never closed",
         "correct the syntax"),
        (["absent"], b"", 1, "the model of absent is not installed", "install it with: make absent"),
    ],
)  # fmt: skip
def test_invoke_says_what_keeps_it_from_running(
    service: Path, arguments: list[str], stdin: bytes, status: int, message: str, hint: str
) -> None:
    names = "absent, echo, exits, fails, imports, nan, slow, syntax, typed"
    message, hint = message.format(root=service), hint.format(names=names)
    done = run("invoke", *arguments, "--json", folder=service, stdin=stdin)
    assert (done[0], json.loads(done[1])) == (status, {"error": message, "hint": hint})
    assert done[2] == f"error: {message}\nhint: {hint}\n"


@pytest.mark.parametrize(
    ("arguments", "error_type", "sentence", "hint"),
    [
        (["fails"], "ValueError", "fails: ValueError: no luck", ""),
        (["typed"], "InputError", "typed: InputError: count: missing", ""),
        (["imports"], "Runtime.ImportModuleError",
         "imports: Runtime.ImportModuleError: Unable to import module 'inference/imports': No module named "
         "'nothing_of_that_name'", "install it (into the service's .venv, where there is one), or correct the name"),
        (["exits"], "Runtime.ExitError",
         "exits: Runtime.ExitError: RequestId: {id} Error: Runtime exited with error: exit status 3",
         "what it wrote before may say why"),
        (["slow"], "Sandbox.Timedout",
         "slow: Sandbox.Timedout: RequestId: {id} Error: Task timed out after 1.00 seconds",
         "set a longer timeout for it in pilotlight.toml"),
    ],
)  # fmt: skip
def test_invoke_answers_with_the_error_of_a_function(
    service: Path, arguments: list[str], error_type: str, sentence: str, hint: str
) -> None:
    status, out, err = run("invoke", *arguments, "--json", folder=service)
    answer = json.loads(out)
    sentence = sentence.format(id=answer["request_id"])
    assert (status, answer["error"], answer["hint"]) == (1, sentence, hint)
    assert answer["payload"]["errorType"] == error_type
    assert err.endswith(f"error: {sentence}\n" + (f"hint: {hint}\n" if hint else ""))


def test_a_failing_function_has_its_payload_on_stdout(service: Path) -> None:
    status, out, err = run("invoke", "fails", folder=service)
    payload = json.loads(out)
    assert (status, payload["errorType"], payload["errorMessage"]) == (1, "ValueError", "no\nluck")
    assert err.endswith("\nerror: fails: ValueError: no luck\n")


def test_a_damaged_model_is_said(tmp_path: Path) -> None:
    files = {
        "models/m/model.onnx": "no model\n",
        "inference/m.py": "from pilotlight import Model\n\nModel('models/m')\n",
    }
    write(tmp_path, {**files, "pilotlight.toml": '[functions.m]\nhandler = "Model"\n'})
    status, out, err = run("invoke", "m", folder=tmp_path)
    error = err.splitlines()[-1]
    assert (status, json.loads(out)["errorType"]) == (1, "ModelError")
    assert error.startswith(f"error: m: ModelError: loading {tmp_path}/models/m/model.onnx: ")
    assert error.endswith(" (the file is damaged or is no ONNX model: copy or export it again)")


def test_invoke_for_programs(service: Path) -> None:
    status, out, err = unreported(run("invoke", "echo", "--json", folder=service))
    answer = json.loads(out)
    assert (status, err, out.count("\n")) == (0, "called\n", 1)
    assert answer == {
        "payload": {"saved": "é"},
        "error": "",
        "hint": "",
        "request_id": answer["request_id"],
        "seconds": answer["seconds"],
    }
    assert 0 < answer["seconds"] < 60
    assert len(answer["request_id"]) == 36


def test_an_answer_that_is_no_json_is_text_for_programs(service: Path) -> None:
    status, out, _ = run("invoke", "nan", "--json", folder=service)
    assert (status, json.loads(out)["payload"]) == (0, "NaN")


# completion


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F _pilotlight_completion pilotlight"),
        ("zsh", "#compdef pilotlight"),
        ("fish", 'complete --no-files --command pilotlight --arguments "(_pilotlight_completion)";'),
    ],
)
def test_completion_prints_a_script(shell: str, line: str) -> None:
    status, out, err = run("completion", shell)
    assert (status, err) == (0, "")
    assert line in [each.strip().rstrip(";") for each in out.splitlines()] + out.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pilotlight i", ["plain,invoke"]),
        ("pilotlight invoke e", ["plain,echo", "plain,exits"]),
        ("pilotlight invoke --dir inference e", []),  # no service: nothing to complete, and no error in the prompt
        ("pilotlight new mini", ["plain,minimal"]),
        ("pilotlight completion z", ["plain,zsh"]),
    ],
)
def test_completes_commands_functions_and_templates(service: Path, words: str, expected: list[str]) -> None:
    asked = {"_PILOTLIGHT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    status, out, err = run(folder=service, environ=asked)
    assert (status, out.split(), err) == (0, expected, "")
