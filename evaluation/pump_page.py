"""A report page of pump evaluations: pictures beside one table, all text escaped."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tapewatch.errors import TapewatchError

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.45 sans-serif;margin:2em auto;max-width:60em;color:#222}}table{{border-collapse:collapse}}
td,th{{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:left}}img{{max-width:100%}}</style>
<h1>{title}</h1>
"""


def pyplot() -> Any:
    """Pyplot of matplotlib without a display."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise TapewatchError("pictures need matplotlib", "Install the extra: pip install 'tapewatch[plot]'.") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt


def picture(figure: Any, caption: str) -> str:
    """A figure as HTML; the figure is closed."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110, bbox_inches="tight")
    pyplot().close(figure)
    text = html.escape(caption)
    encoded = base64.b64encode(data.getvalue()).decode()
    return f'<h2>{text}</h2><img alt="{text}" src="data:image/png;base64,{encoded}">\n'


def kept_picture(name: str, caption: str) -> str:
    """A picture that lies as a file in the page's folder, as HTML."""
    text = html.escape(caption)
    return f'<h2>{text}</h2><img alt="{text}" src="{html.escape(name, quote=True)}">\n'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as HTML."""
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>\n"


def write(folder: Path, name: str, title: str, parts: Sequence[str]) -> Path:
    """Write the page `name` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(_HEAD.format(title=html.escape(title)) + "".join(parts) + "</html>\n", encoding="utf-8")
    return path
