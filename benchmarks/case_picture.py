"""Small pictures of one case as SVG text: panels over one time axis, the span of the case and the alert's decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy.typing as npt

_WIDTH, _PANEL, _LEFT, _GAP = 640.0, 110.0, 8.0, 26.0
_LINE, _CASE, _ALERT = "#1f5a99", "#f6d9a8", "#b3261e"


@dataclass(frozen=True, slots=True)
class Series:
    """One panel. times : s; values : as many numbers; drawn as a line, else as bars or dots."""

    title: str
    times: npt.NDArray[Any]
    values: npt.NDArray[Any]
    bars: bool = False
    dots: bool = False


def picture(panels: Sequence[Series], case: tuple[float, float], title: str) -> str:
    """The panels one below another; case : onset and decision, s."""
    first = float(min(panel.times.min() for panel in panels))
    last = float(max(panel.times.max() for panel in panels))

    def x(when: float) -> float:
        return _LEFT + (when - first) / max(last - first, 1e-9) * (_WIDTH - 2 * _LEFT)

    height = _GAP + len(panels) * (_PANEL + _GAP)
    begin, end = x(max(case[0], first)), x(case[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" '
        f'font-family="sans-serif" font-size="12" role="img"><title>{escape(title)}</title>',
        f'<rect width="{_WIDTH:.0f}" height="{height:.0f}" fill="white"/>',
        f'<rect x="{begin:.1f}" y="{_GAP:.0f}" width="{max(end - begin, 1.0):.1f}" height="{height - 2 * _GAP:.0f}" '
        f'fill="{_CASE}"/>',
    ]
    for place, panel in enumerate(panels):
        top = _GAP + place * (_PANEL + _GAP)
        parts.append(_panel(panel, top, x))
    parts.append(
        f'<path d="M{end:.1f} {_GAP:.0f}V{height - _GAP:.0f}" stroke="{_ALERT}" stroke-width="1.5"/>'
        f'<text x="{min(end + 4, _WIDTH - 40):.1f}" y="{height - _GAP + 14:.0f}" fill="{_ALERT}">alert</text>'
        f'<text x="{_LEFT:.0f}" y="{height - 8:.0f}" fill="#555">{last - first:.0f} s; shaded: onset to alert</text>'
        "</svg>\n"
    )
    return "\n".join(parts)


def _panel(panel: Series, top: float, x: Callable[[float], float]) -> str:
    low, high = float(panel.values.min()), float(panel.values.max())
    if panel.bars:
        low = 0.0
    scale = _PANEL / max(high - low, 1e-12)
    points = [
        (x(float(when)), top + _PANEL - (float(value) - low) * scale)
        for when, value in zip(panel.times, panel.values, strict=True)
    ]
    if panel.bars:
        path = "".join(f"M{a:.1f} {top + _PANEL:.1f}V{b:.1f}" for a, b in points)
        drawn = f'<path d="{path}" stroke="{_LINE}" stroke-width="1.2"/>'
    elif panel.dots:
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in points)
        drawn = f'<path d="{path}" stroke="{_LINE}" stroke-width="3.5" stroke-linecap="round"/>'
    else:
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
        drawn = f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.4"/>'
    label = f"{escape(panel.title)}, {low:.4g} to {high:.4g}"
    return f'<text x="{_LEFT:.0f}" y="{top - 6:.0f}" fill="#222">{label}</text>{drawn}'
