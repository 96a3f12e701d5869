"""docs/features.md, generated from the list of features (`python -m streams.engine.features_page --check|--write`)."""

import sys
from pathlib import Path

from streams.engine.features import FEATURES, Feature
from streams.engine.second_close import MAX_SILENCE_S
from tapewatch import generated

MODULE = "streams.engine.features_page"
PAGE = Path("docs/features.md")

_HEAD = f"""# Features

Generated from `streams/engine/features.py`; `python -m streams.engine.features_page --write` rewrites it.

The engine writes one row for each instrument and sealed second to the topic `features`: `instrument`, `ts` (close of
the second), `offset` (of the market record that closed it), then these {len(FEATURES)} columns, float32 each. Scores
are computed from the same float32 values, so a row read back gives the same score. All else is float64 in log order,
without fastmath: the same log gives the same bits on every start.

- **p** is the mid price where there is a two-sided quote, else the last trade's price, else the side that is there.
  **t** counts sealed seconds of `ts_recv`.
- **Warm-up** is how many sealed seconds in a row an instrument needs before the value is not NaN. Windows start anew
  after a halt, a closed session, a gap of the feed, and more than {MAX_SILENCE_S} s without any row in the partition.
  From a gap row on to its next row of any other kind (market data, resync) an instrument is not watched: those seconds
  have no row here, and stand in the topic `coverage`.
- **Needs** is the data tier. Columns that need trades are NaN until the instrument has traded, those that need quotes
  until it was quoted; `book` asks for levels behind the touch. Spread and microprice are NaN while a side is absent.
- Trades of the conditions `regular` and `auction` count. A trade without a known aggressor is signed by the quote rule
  (Lee & Ready 1991). On a feed without trade rows, the growth of the quotes' `volume` counts as a trade at
  `last_price`; a venue's own bar counts as trading at its close.
- A half-life of h seconds gives the newest second the weight 1 - 2^(-1/h).

| # | feature | unit | warm-up, s | needs | formula | source |
|--:|---|---|--:|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(number, feature) for number, feature in enumerate(FEATURES))


def _row(number: int, feature: Feature) -> str:
    """One line of the table; a bar inside a formula must not end its cell."""
    cells = (feature.unit, str(feature.warm_s), feature.needs, feature.formula, feature.source)
    return f"| {number} | `{feature.name}` | " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def main(words: list[str] | None = None) -> int:
    """Check the page or write it; 1 where --check finds it out of step."""
    parser = generated.options(MODULE, "The page of features.")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help=f"where it lies (default: {PAGE})")
    args = parser.parse_args(words)
    return generated.settle({args.page: page()}, MODULE, args.write)


if __name__ == "__main__":
    sys.exit(main())
