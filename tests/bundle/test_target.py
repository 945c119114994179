import pytest

from pilotlight.bundle.target import Target, parse
from pilotlight.errors import UsageError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("3.12", Target("3.12", "arm64")),
        ("python3.14", Target("3.14", "arm64")),
        ("x86_64", Target("3.13", "x86_64")),
        ("python3.12-amd64", Target("3.12", "x86_64")),
        ("aarch64-3.14", Target("3.14", "arm64")),
    ],
)
def test_a_target_is_said_in_part_or_whole(text: str, target: Target) -> None:
    assert parse(text, Target("3.13", "arm64")) == target


def test_a_target_in_the_words_of_others() -> None:
    target = Target("3.13", "arm64")
    assert str(target) == "python3.13 on arm64"
    assert (target.runtime, target.machine, target.platform) == ("python3.13", "aarch64", "aarch64-manylinux_2_34")


@pytest.mark.parametrize("text", ["3.11", "riscv64", "", "3.13-", "3.13-x86"])
def test_what_lambda_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="reading the target") as refused:
        parse(text, Target())
    assert refused.value.hint == "Lambda has Python 3.12, 3.13, 3.14 on x86_64 and arm64: such as 3.13-arm64"
