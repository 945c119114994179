"""One value of pilotlight.toml is changed, and nothing else."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import ProjectError
from pilotlight.settings_edit import diff, with_memory

WRITTEN = """\
# The service.
name = "films"

[defaults]
memory = 256

[functions.kim_cnn] # sentiment
route = "POST /kim_cnn"
memory = 512 # MB; as measured
timeout = 10

[functions.kim_cnn.environment]
memory = "not this"
"""


def test_the_value_is_changed_where_it_is() -> None:
    changed = with_memory(WRITTEN, "kim_cnn", 1024)
    assert changed == WRITTEN.replace("memory = 512 #", "memory = 1024 #")
    assert diff(WRITTEN, changed) == [
        "--- pilotlight.toml",
        "+++ pilotlight.toml",
        "@@ -7,5 +7,5 @@",
        " [functions.kim_cnn] # sentiment",
        ' route = "POST /kim_cnn"',
        "-memory = 512 # MB; as measured",
        "+memory = 1024 # MB; as measured",
        " timeout = 10",
        " ",
    ]


def test_a_table_gets_the_value() -> None:
    assert with_memory("[functions.qa]\ntimeout = 3", "qa", 512) == "[functions.qa]\nmemory = 512\ntimeout = 3"
    assert with_memory("[functions.qa]", "qa", 512) == "[functions.qa]\nmemory = 512\n"
    assert with_memory('[functions."qa"]\n[defaults]\n', "qa", 512) == '[functions."qa"]\nmemory = 512\n[defaults]\n'


def test_a_file_gets_the_table() -> None:
    assert with_memory("", "qa", 512) == "[functions.qa]\nmemory = 512\n"
    assert with_memory('name = "a"', "qa", 512) == 'name = "a"\n\n[functions.qa]\nmemory = 512\n'
    assert with_memory('name = "a"\r\n', "qa", 512) == 'name = "a"\r\n\r\n[functions.qa]\r\nmemory = 512\r\n'


@pytest.mark.parametrize(
    "text",
    [
        "functions = {qa = {timeout = 3}}\n",
        "[functions]\nqa = {timeout = 3}\n",
        "functions.qa.timeout = 3\n",
        '[functions.qa]\ninstall = """\nmemory = 3\n"""\nmemory = 0x200\n',
    ],
)
def test_other_forms_are_left_to_people(text: str) -> None:
    with pytest.raises(ProjectError) as error:
        with_memory(text, "qa", 512)
    assert "written in a form that is not changed by a program" in str(error.value)
    assert error.value.hint == "write it there by hand: memory = 512"


@given(st.integers(128, 10240), st.sampled_from(["", "memory = 1_024\n", "memory=128\n", "  memory  =  512 # x\n"]))
def test_any_value_is_read_back(memory: int, line: str) -> None:
    text = f"[functions.other]\nmemory = 1\n[ functions . qa ]\n{line}timeout = 3\n"
    expected = {"other": {"memory": 1}, "qa": {"memory": memory, "timeout": 3}}
    assert tomllib.loads(with_memory(text, "qa", memory)) == {"functions": expected}
