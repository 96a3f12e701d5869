"""What a report is made of, whatever it is written as: headings, texts, tables, pictures.

Blocks as one HTML page: nothing from elsewhere, every text escaped, fit for printing.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
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


STYLE = """
:root{color-scheme:light}
body{font:14px/1.5 system-ui,"Noto Sans","Noto Sans CJK TC","Noto Sans CJK KR",sans-serif;color:#15202e;
background:#fff;max-width:760px;margin:24px auto;padding:0 20px}
h1{font-size:1.5rem;margin:0 0 4px}h2{font-size:1.1rem;margin:28px 0 8px;border-bottom:1px solid #d5dbe5}
p.lead{font-size:1.1rem}p.good{color:#0a6b3d;font-weight:600}p.bad{color:#b3261e;font-weight:600}
p.small{color:#556376;font-size:.85rem}
table{border-collapse:collapse;width:100%;margin:6px 0 12px}
th,td{text-align:left;vertical-align:top;padding:4px 8px 4px 0;border-bottom:1px solid #e4e9f0;overflow-wrap:break-word}
td.w{overflow-wrap:anywhere}
th{font-weight:600;color:#556376}td.n,th.n{text-align:right;padding-right:20px}
dl{display:grid;grid-template-columns:minmax(130px,210px) 1fr;gap:3px 14px;margin:6px 0 12px}
dt{color:#556376}dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}
figure{margin:10px 0;break-inside:avoid}svg{max-width:100%;height:auto}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
"""
POLICY = (
    "default-src 'none'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)
"""The page's Content-Security-Policy: its own style, and nothing else."""


def page(title: str, blocks: Iterable[Block], language: str = "en") -> str:
    """The page."""
    body = "\n".join(map(_block, blocks))
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape(block.text)}</h2>"
    if isinstance(block, Text):
        return f'<p class="{block.tone}">{escape(block.text)}</p>'
    if isinstance(block, Fields):
        rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value) or '&#8211;'}</dd>" for label, value in block.rows)
        return f"<dl>{rows}</dl>"
    return _table(block) if isinstance(block, Table) else svg(block)


def _table(table: Table) -> str:
    if not table.rows:
        return f"<p>{escape(table.empty)}</p>"

    def cells(tag: str, row: tuple[str, ...]) -> str:
        kinds = (_kind(text, place in table.numeric) for place, text in enumerate(row))
        scope = ' scope="col"' if tag == "th" else ""
        return "".join(f"<{tag}{scope}{kind}>{escape(text)}</{tag}>" for text, kind in zip(row, kinds, strict=True))

    rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    return f"<table><thead><tr>{cells('th', table.head)}</tr></thead><tbody>{rows}</tbody></table>"


def _kind(text: str, numeric: bool) -> str:
    """A cell's class: numbers to the right, endless words (hashes) cut anywhere."""
    endless = max(map(len, text.split()), default=0) > 24
    return ' class="n"' if numeric else ' class="w"' if endless else ""


def svg(picture: Picture) -> str:
    """A picture as inline SVG."""
    marks = "".join(map(_mark, picture.marks))
    size = f'width="{picture.width:g}" height="{picture.height:g}" viewBox="0 0 {picture.width:g} {picture.height:g}"'
    title = escape(picture.title)
    return (
        f'<figure><svg role="img" aria-label="{title}" {size} xmlns="http://www.w3.org/2000/svg">{marks}</svg></figure>'
    )


def _mark(mark: Line | Bar | Label) -> str:
    if isinstance(mark, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
        dash = ' stroke-dasharray="4 3"' if mark.dashed else ""
        return f'<polyline fill="none" stroke="{mark.colour}" stroke-width="{mark.width}"{dash} points="{points}"/>'
    if isinstance(mark, Bar):
        size = f'width="{mark.width:.1f}" height="{max(mark.height, 0.0):.1f}"'
        return f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" {size} fill="{mark.colour}"/>'
    place = f'x="{mark.x:.1f}" y="{mark.y:.1f}" text-anchor="{mark.anchor}" font-size="{mark.size:g}"'
    return f'<text {place} fill="{mark.colour}">{escape(mark.text)}</text>'
