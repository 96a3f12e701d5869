"""A model's card as a page: a table of facts, and the sections of any length that follow it."""

from collections.abc import Mapping, Sequence

from msgspec import UnsetType

from detectors.feeds import Limits, sentence
from detectors.model_file import Origin


def page(title: str, facts: Mapping[str, str], sections: Sequence[str]) -> str:
    """Markdown. facts : name and value of each row; sections : one below the other, without the empty ones"""
    table = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    return "\n\n".join([f"# {title}", "\n".join(table), *filter(None, sections)]) + "\n"


def origin(card: Origin, rows: str, kind: str = "rows") -> dict[str, str]:
    """Facts of where a model comes from. rows : how many training rows; kind : what they are"""
    return {
        "Data": card.data,
        "Data hash": f"`{card.data_hash}`",
        f"Training {kind}": rows,
        "Made by": f"`{card.command}`",
        "Seed": str(card.seed),
    }


def counted(rows: Mapping[str, int]) -> str:
    """Rows by kind in words."""
    return ", ".join(f"{count:,} {name}" for name, count in rows.items())


def named(names: Sequence[str]) -> str:
    """Names as code, one after the other."""
    return ", ".join(f"`{name}`" for name in names)


def measured(metrics: Mapping[str, float]) -> str:
    """The section of figures; empty without any."""
    rows = [f"| {name} | {value:g} |" for name, value in metrics.items()]
    return "\n".join(["## Measured", "", "| figure | value |", "|---|---|", *rows]) if rows else ""


def limits(text: str) -> str:
    """The section of what the model cannot do; empty without any."""
    return f"## Limits\n\n{text}" if text else ""


def by_kind(alerts: Limits) -> dict[str, str]:
    """Alert limits by kind of feed, where a model has them."""
    return {} if isinstance(alerts, UnsetType) else {"By kind of feed": sentence(alerts)}
