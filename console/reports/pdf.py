"""Blocks as a PDF by reportlab, any text: Chinese, Japanese and Korean by the fonts that every PDF reader brings."""

import io
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import escape

from console.reports.blocks import Bar, Block, Fields, Heading, Label, Line, Picture, Table, Text
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable

BASE, CHINESE, KOREAN, JAPANESE = "Helvetica", "MSung-Light", "HYSMyeongJo-Medium", "HeiseiMin-W3"
_PLAIN = str.maketrans({"≥": ">=", "≤": "<=", "\u2212": "-", "→": "->", "\u00a0": " ", "\u202f": " "})
_WIDTH, _MARGIN, _PADDING = 595.0, 48.0, 12.0


def pdf(title: str, blocks: Iterable[Block], made: str) -> bytes:
    """The document. made : when and by whom, on every page

    TapewatchError where the extra `console` is not installed.
    """
    lab = _lab()
    stream = io.BytesIO()
    document = lab.SimpleDocTemplate(
        stream, pagesize=lab.A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=44, bottomMargin=44,
        title=safe(title), author="tapewatch", invariant=1,
    )  # fmt: skip

    def foot(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont(BASE, 7.5)
        canvas.setFillGray(0.4)
        canvas.drawString(_MARGIN, 26, latin(f"{made}"))
        canvas.drawRightString(_WIDTH - _MARGIN, 26, f"page {canvas.getPageNumber()}")
        canvas.restoreState()

    story = [lab.Paragraph(marked(title), _style("Title", 16, 20)), lab.Spacer(1, 4)]
    for block in blocks:
        story += _block(lab, block)
    document.build(story, onFirstPage=foot, onLaterPages=foot)
    return stream.getvalue()


def safe(text: str) -> str:
    """The text without what no font shows: control characters, surrogates and signs beyond the basic plane escaped."""
    lines = text.translate(_PLAIN).split("\n")
    clean = "\n".join(printable(line.replace("\t", " ").rstrip("\r")) for line in lines)
    return "".join(letter if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}" for letter in clean)


def latin(text: str) -> str:
    """The text in the base font's letters alone."""
    return safe(text).encode("cp1252", "backslashreplace").decode("cp1252")


def marked(text: str) -> str:
    """The text as reportlab's mark-up, each run in a font that has its letters."""
    parts = []
    for font, letters in groupby(safe(text), key=_font):
        run = "".join(letters)
        if font == BASE:
            parts.append(escape(run.encode("cp1252", "backslashreplace").decode("cp1252")))
        else:
            parts.append(f'<font name="{font}">{escape(run)}</font>')
    return "".join(parts).replace("\n", "<br/>")


def _font(letter: str) -> str:
    code = ord(letter)
    if 0xAC00 <= code <= 0xD7A3 or 0x3130 <= code <= 0x318F:
        return KOREAN
    if 0x3040 <= code <= 0x30FF:
        return JAPANESE
    if 0x2E80 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0xFF00 <= code <= 0xFFEF:
        return CHINESE
    return BASE


@cache
def _lab() -> Any:
    """What is used of reportlab, with the fonts registered."""
    try:
        from reportlab.graphics import shapes
        from reportlab.lib.colors import HexColor
        from reportlab.lib.pagesizes import A4
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.cidfonts import UnicodeCIDFont
        from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, TableStyle
        from reportlab.platypus import Table as Grid
    except ImportError as error:
        raise TapewatchError("reports as PDF need reportlab", "Install the extra `console`.") from error
    for name in (CHINESE, KOREAN, JAPANESE):
        pdfmetrics.registerFont(UnicodeCIDFont(name))

    return SimpleNamespace(
        A4=A4, ParagraphStyle=ParagraphStyle, HexColor=HexColor, KeepTogether=KeepTogether, Paragraph=Paragraph,
        SimpleDocTemplate=SimpleDocTemplate, Spacer=Spacer, Grid=Grid, TableStyle=TableStyle, shapes=shapes,
    )  # fmt: skip


@cache
def _style(name: str, size: float, leading: float, colour: str = "#15202e", bold: bool = False) -> Any:
    lab = _lab()
    font = f"{BASE}-Bold" if bold else BASE
    return lab.ParagraphStyle(name, fontName=font, fontSize=size, leading=leading, textColor=lab.HexColor(colour),
                              keepWithNext=int(name == "Heading"),
                              spaceAfter=4, wordWrap="CJK", splitLongWords=1)  # fmt: skip


_TONES = {
    "": (9.5, 13.0, "#15202e", False),
    "lead": (11.5, 16.0, "#15202e", False),
    "good": (10.0, 14.0, "#0a6b3d", True),
    "bad": (10.0, 14.0, "#b3261e", True),
    "small": (8.0, 11.0, "#556376", False),
}


def _block(lab: Any, block: Block) -> list[Any]:
    if isinstance(block, Heading):
        return [lab.Spacer(1, 8), lab.Paragraph(marked(block.text), _style("Heading", 12.5, 16, bold=True))]
    if isinstance(block, Text):
        return [lab.Paragraph(marked(block.text), _style(f"Text{block.tone}", *_TONES[block.tone]))]
    if isinstance(block, Fields):
        return _grid(lab, None, [(label, value or "-") for label, value in block.rows], (150.0,))
    if isinstance(block, Table):
        if not block.rows:
            return [lab.Paragraph(marked(block.empty), _style("Text", *_TONES[""]))]
        return _grid(lab, block.head, list(block.rows), ())
    return [lab.KeepTogether([_drawing(lab, block)]), lab.Spacer(1, 6)]


def _grid(lab: Any, head: tuple[str, ...] | None, rows: list[tuple[str, ...]], widths: tuple[float, ...]) -> list[Any]:
    """A table that goes over pages; long cells are cut into pieces, since a row cannot be split."""
    cell, label = _style("Cell", 8.5, 11.0), _style("Label", 8.5, 11.0, "#556376")
    lines = [[lab.Paragraph(marked(word), label) for word in head]] if head else []
    for row in rows:
        pieces = [_pieces(safe(word), 900 // len(row)) for word in row]
        for part in range(max(map(len, pieces))):
            words = [piece[part] if part < len(piece) else "" for piece in pieces]
            kinds = [label if not head and place == 0 else cell for place in range(len(words))]
            lines.append([lab.Paragraph(marked(word), kind) for word, kind in zip(words, kinds, strict=True)])
    room = _WIDTH - 2 * _MARGIN - _PADDING
    count = len(lines[0])
    rest = (room - sum(widths)) / (count - len(widths))
    grid = lab.Grid(lines, colWidths=[*widths, *[rest] * (count - len(widths))], repeatRows=1 if head else 0)
    line = ("LINEBELOW", (0, 0), (-1, -1), 0.4, lab.HexColor("#e4e9f0"))
    grid.setStyle(lab.TableStyle([line, ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    return [grid, lab.Spacer(1, 6)]


def _pieces(text: str, letters: int, lines: int = 25) -> list[str]:
    """The text in pieces that fit on a page."""
    pieces: list[str] = []
    rows = text.split("\n")
    for start in range(0, len(rows), lines):
        part = "\n".join(rows[start : start + lines])
        pieces += [part[place : place + letters] for place in range(0, len(part), letters)] or [""]
    return pieces


def _drawing(lab: Any, picture: Picture) -> Any:
    """A picture; its coordinates begin above, reportlab's below."""
    shapes = lab.shapes
    scale = (_WIDTH - 2 * _MARGIN - _PADDING) / picture.width
    drawing = shapes.Drawing(picture.width * scale, picture.height * scale)
    drawing.scale(scale, scale)
    for mark in picture.marks:
        drawing.add(_shape(lab, mark, picture.height))
    return drawing


def _shape(lab: Any, mark: Line | Bar | Label, height: float) -> Any:
    shapes, colour = lab.shapes, lab.HexColor(mark.colour)
    if isinstance(mark, Line):
        points = [each for x, y in mark.points for each in (x, height - y)]
        dash = [4, 3] if mark.dashed else None
        return shapes.PolyLine(points, strokeColor=colour, strokeWidth=mark.width, strokeDashArray=dash)
    if isinstance(mark, Bar):
        tall = max(mark.height, 0.0)
        return shapes.Rect(mark.x, height - mark.y - tall, mark.width, tall, fillColor=colour, strokeColor=None)
    return shapes.String(
        mark.x, height - mark.y, latin(mark.text), textAnchor=mark.anchor, fontName=BASE, fontSize=mark.size,
        fillColor=colour,
    )  # fmt: skip
