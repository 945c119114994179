"""Which table a name or a URI means, and what is said when it means none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import TableError
from pilotlight.function.table import Address, connect, connect_uri, parse, variable

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
FORM = "write sqlite:///absolute/file.sqlite?table=NAME&key=KEY or dynamodb://TABLE?key=KEY"


def test_addresses() -> None:
    uri = "sqlite:///srv/my%20service/.pilotlight/tables.sqlite?key=word&table=vectors&writer=127.0.0.1:41233"
    address = Address(
        "sqlite", "/srv/my service/.pilotlight/tables.sqlite", "word", table="vectors", writer="127.0.0.1:41233"
    )
    assert (parse(uri), str(address)) == (address, uri)
    assert parse("dynamodb://service-records?expires=until") == Address("dynamodb", "service-records", "id", "until")
    assert parse("dynamodb://glove-300") == Address("dynamodb", "glove-300", "id")


@given(
    st.builds(
        Address, st.just("sqlite"), TEXTS.map("/{}".format), TEXTS.map("k{}".format), TEXTS, TEXTS.map("t{}".format)
    )
)
def test_an_address_is_read_as_it_was_written(address: Address) -> None:
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "",
            "words",
            "sqlite",
            "sqlite://",
            "sqlite:///",
            "sqlite:///tmp/words.sqlite",
            "sqlite://words.sqlite?table=a",
        ),
        *(
            "dynamodb://",
            "dynamodb:words",
            "redis://words",
            "dynamodb://words?keys=word",
            "dynamodb://w%zz",
            "dynamodb://w%4",
        ),
    ],
)
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(TableError) as refused:
        connect_uri(uri)
    assert (str(refused.value), refused.value.hint) == (f"{uri!r} is not the URI of a table", FORM)


def test_a_name_is_looked_up_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    assert variable("word-vectors") == "PILOTLIGHT_TABLE_WORD_VECTORS"
    monkeypatch.setenv("PILOTLIGHT_TABLE_WORD_VECTORS", f"sqlite://{tmp_path}/t.sqlite?table=vectors&key=word")
    table = connect("word-vectors")
    assert (table.key, table.get(["red"])) == ("word", {})


@pytest.mark.parametrize(
    ("name", "hint"),
    [("word-vektors", "did you mean 'word-vectors'?"), ("records", 'set tables = ["records"] in pilotlight.toml')],
)
def test_a_name_that_the_function_does_not_have(monkeypatch: pytest.MonkeyPatch, name: str, hint: str) -> None:
    monkeypatch.setenv("PILOTLIGHT_TABLE_WORD_VECTORS", "dynamodb://vectors")
    with pytest.raises(TableError) as refused:
        connect(name)
    message = f"the table {name!r}: this function has no table of that name"
    assert (str(refused.value), refused.value.hint) == (message, hint)
