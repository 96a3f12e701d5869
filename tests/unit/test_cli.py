"""The command line: which subcommand is meant."""

import pytest

from tapewatch.cli import command_in, main


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["down"], "down"),
        (["--data", "demo", "down", "--json"], "down"),
        (["--data=up", "--settings", "run", "status"], "status"),
        (["--version"], None),
        (["nothing"], None),
        ([], None),
    ],
)
def test_a_common_options_value_is_no_command(words: list[str], command: str | None) -> None:
    assert command_in(words) == command


def test_an_unknown_command_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nothing"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
