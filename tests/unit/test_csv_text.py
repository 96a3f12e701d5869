"""Cells of tables that people take along: none begins a formula."""

import pytest

from console.csv_text import cell


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff20A",
        "\u22121",
    ],
)  # fmt: skip
def test_text_that_a_spreadsheet_would_work_out_is_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(("value", "wanted"), [("a=1", "a=1"), ("", ""), (None, ""), (-1.5, -1.5), ("1 - 2", "1 - 2")])
def test_everything_else_stays(value: object, wanted: object) -> None:
    assert cell(value) == wanted
