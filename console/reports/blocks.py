"""What a report is made of, whatever it is written as: headings, texts, tables, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "lead", "good", "bad", "small"]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's heading."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts. numeric : columns that are set to the right; empty : said where there is no row"""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: frozenset[int] = frozenset()
    empty: str = "None."


@dataclass(frozen=True, slots=True)
class Fields:
    """Labels with their values."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, from the picture's upper left corner."""

    points: Sequence[tuple[float, float]]
    colour: str
    width: float = 1.2
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled rectangle. x, y : upper left corner"""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word in a picture. x, y : its base line's anchor"""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    colour: str = "#33404f"
    size: float = 9.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing. title : what it shows, said to who cannot see it"""

    title: str
    width: float
    height: float
    marks: Sequence[Line | Bar | Label]


Block = Heading | Text | Table | Fields | Picture
