"""The minutes around an alert as pictures: price, volume, features against thresholds, the best levels."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import isfinite

from console.api.moments import Context
from console.api.moments import Points as Series
from console.reports.blocks import Bar, Label, Line, Picture
from tapewatch.contract.messages import Evidence

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 680.0, 74.0, 12.0, 18.0, 20.0
INK, UP, DOWN, LIMIT, ONSET, GRID = "#0b57d0", "#0a7a48", "#c0322a", "#b3261e", "#8a5300", "#d5dbe5"

Points = Sequence[tuple[float, float]]


class Frame:
    """A picture's axes: time from left to right, values from below to above."""

    def __init__(self, title: str, height: float, start: float, end: float, values: Iterable[float]) -> None:
        found = [value for value in values if isfinite(value)]
        low, high = (min(found), max(found)) if found else (0.0, 1.0)
        room = (high - low) * 0.06 or abs(high) * 0.001 or 1.0
        self.low, self.high, self.start, self.end = low - room, high + room, start, max(end, start + 1)
        self.title, self.height = title, height
        self.marks: list[Line | Bar | Label] = [Label(LEFT, 12, title, colour="#15202e", size=10)]
        for value in (low, (low + high) / 2, high):
            y = self.y(value)
            self.marks.append(Line([(LEFT, y), (WIDTH - RIGHT, y)], GRID, 0.6))
            self.marks.append(Label(LEFT - 6, y + 3, shown(value), "end"))
        for part in range(5):
            at = self.start + (self.end - self.start) * part / 4
            anchor = "start" if part == 0 else "end" if part == 4 else "middle"
            self.marks.append(Label(self.x(at), height - 6, clock(at), anchor))  # type: ignore[arg-type]

    def x(self, at: float) -> float:
        """Where a time (ms) lies."""
        return LEFT + (at - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value lies."""
        return TOP + (self.high - value) / (self.high - self.low) * (self.height - TOP - BOTTOM)

    def line(self, points: Points, colour: str) -> None:
        """A line through times and values; it stops where a value is missing."""
        if len(points) > 1:
            self.marks.append(Line([(self.x(at), self.y(value)) for at, value in points], colour))

    def level(self, value: float, colour: str) -> None:
        """A dashed line at a value."""
        self.marks.append(Line([(LEFT, self.y(value)), (WIDTH - RIGHT, self.y(value))], colour, 1.0, True))

    def moment(self, at: float, text: str) -> None:
        """A dashed line at a time."""
        if self.start <= at <= self.end:
            x = self.x(at)
            self.marks.append(Line([(x, TOP), (x, self.height - BOTTOM)], ONSET, 0.8, True))
            self.marks.append(Label(x + 3, TOP + 8, text, colour=ONSET, size=8))

    def picture(self) -> Picture:
        """The drawing."""
        return Picture(self.title, WIDTH, self.height, self.marks)


def pictures(context: Context, evidence: Sequence[Evidence]) -> list[Picture]:
    """All pictures of an alert that its data allow."""
    made = []
    if context.seconds.t:
        made += [_price(context), _volume(context)]
    told: set[str] = set()
    for each in evidence:
        if each.feature in context.features.values and each.feature not in told:
            told.add(each.feature)
            made += _feature(context, each)
    for detector, series in sorted(context.scores.items()):
        made += _score(context, detector, series)
    return made + _levels(context)


def _price(context: Context) -> Picture:
    points = _known(context.seconds.t, context.seconds.close)
    frame = Frame("Price, second by second", 190, context.start, context.end, [value for _, value in points])
    frame.line(points, INK)
    frame.moment(context.onset, "onset")
    frame.moment(context.decided, "decided")
    return frame.picture()


def _volume(context: Context) -> Picture:
    seconds = context.seconds
    points = _known(seconds.t, seconds.volume)
    buys = dict(_known(seconds.t, seconds.buys))
    frame = Frame("Volume a second (green: buyers who aggressed)", 120, context.start, context.end,
                  [0.0, *(value for _, value in points)])  # fmt: skip
    width = max((WIDTH - LEFT - RIGHT) / max((context.end - context.start) / 1000, 1) * 0.8, 0.6)
    for at, value in points:
        for volume, colour in ((value, DOWN if buys else INK), (min(buys.get(at, 0.0), value), UP)):
            if volume > 0:
                y = frame.y(volume)
                frame.marks.append(Bar(frame.x(at), y, width, frame.y(0.0) - y, colour))
    return frame.picture()


def _feature(context: Context, evidence: Evidence) -> list[Picture]:
    series = context.features
    points = _known(series.t, series.values[evidence.feature])
    if not points:
        return []
    limit = [] if evidence.threshold is None else [evidence.threshold]
    told = f"{evidence.feature} {evidence.unit}".strip()
    title = f"{told} (threshold {evidence.relation} {shown(limit[0])})" if limit else told
    frame = Frame(title, 110, context.start, context.end, [*(value for _, value in points), *limit])
    frame.line(points, INK)
    for value in limit:
        frame.level(value, LIMIT)
    frame.moment(context.decided, "")
    return [frame.picture()]


def _score(context: Context, detector: str, series: Series) -> list[Picture]:
    points = _known(series.t, series.value)
    if not points:
        return []
    frame = Frame(
        f"Probability of manipulation: {detector}", 110, context.start, context.end, [value for _, value in points]
    )
    frame.line(points, INK)
    frame.moment(context.decided, "")
    return [frame.picture()]


def _levels(context: Context) -> list[Picture]:
    """The best levels at the decision: bids to the left, asks to the right."""
    books = context.books
    places = [place for place, at in enumerate(books.t) if at <= context.decided]
    if not places:
        return []
    place = places[-1]
    bids = _pairs(books.bid_price[place], books.bid_qty[place])
    asks = _pairs(books.ask_price[place], books.ask_qty[place])
    largest = max((qty for _, qty in [*bids, *asks]), default=0.0)
    if largest <= 0:
        return []
    title = f"Best levels at {clock(books.t[place])} UTC: bids left, asks right"
    marks: list[Line | Bar | Label] = [Label(LEFT, 12, title, colour="#15202e", size=10)]
    middle, room = WIDTH / 2, WIDTH / 2 - 150
    for side, levels in ((-1, bids), (1, asks)):
        for row, (price, qty) in enumerate(levels):
            y, length = 24 + 16 * row, room * qty / largest
            left = middle - 70 - length if side < 0 else middle + 70
            marks.append(Bar(left, y, length, 12, UP if side < 0 else DOWN))
            marks.append(Label(middle + side * 6, y + 10, shown(price), "end" if side < 0 else "start"))
            edge = left - 4 if side < 0 else left + length + 4
            marks.append(Label(edge, y + 10, shown(qty), "end" if side < 0 else "start", size=8))
    return [Picture(title, WIDTH, 30.0 + 16 * max(len(bids), len(asks)), marks)]


def _known(times: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float]]:
    """Times with the values that are there."""
    pairs = zip(times, values, strict=False)
    return [(float(at), float(value)) for at, value in pairs if value is not None and isfinite(value)]


def _pairs(prices: Sequence[float | None], quantities: Sequence[float | None]) -> list[tuple[float, float]]:
    pairs = zip(prices, quantities, strict=False)
    return [(float(p), float(q)) for p, q in pairs if p is not None and q is not None and isfinite(p) and isfinite(q)]


def shown(value: float | None) -> str:
    """A number as reports write it: seven significant digits."""
    return "-" if value is None else f"{value:,.7g}"


def clock(ms: float) -> str:
    """Time of day of milliseconds since 1970, UTC."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}"
