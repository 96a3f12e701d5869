"""Train an LSTM on a panel of bars, and forecast from the newest ones."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.forecast.lstm import inputs, score
from detectors.forecast.lstm.distributed import fit
from detectors.forecast.lstm.inputs import LOOKBACK
from detectors.forecast.lstm.model import DAY, MINUTE, NAME, Card, LstmMetadata, Model, arranged
from detectors.forecast.lstm.training import Recipe
from detectors.forecast.series import Forecast, Panel, Series, hash_of
from detectors.forecast.walk import Fold
from detectors.model_file import sound

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_DAY_NS, _MINUTE_NS = 86_400_000_000_000, 60_000_000_000
APART = {DAY: 30 * _DAY_NS, MINUTE: _DAY_NS}
"""A window holds no two neighbouring bars that lie further apart, ns."""
_NEXT = {DAY: 30 * _DAY_NS, MINUTE: _MINUTE_NS}
"""The bar that is forecast comes no later than so, ns."""
LEAST_ROWS = 200
_LIMITS = (
    "Bars alone, no news and no other instruments. Next closes are close to a random walk: see docs/lstm.md for how it "
    "compares with saying that nothing changes."
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Windows whose next bar is known, of all instruments of a panel, one instrument after the other.

    inputs : float32[rows, WINDOW, FEATURES]; targets : float64[rows], in volatilities; volatility : float64[rows]
    reference, close : float64[rows], newest close and the next; at, known : int64[rows], when each was known
    instrument : int64[rows], place in `names`
    """

    names: tuple[str, ...]
    inputs: F4
    targets: F8
    volatility: F8
    reference: F8
    close: F8
    at: I8
    known: I8
    instrument: I8

    def __len__(self) -> int:
        return len(self.at)


def whole(at: I8, apart: int) -> I8:
    """Rows after which LOOKBACK bars lie no further apart than `apart` ns, each from the one before, int64[ends]."""
    broken = np.concatenate([[0], np.cumsum(np.diff(at) > apart)])
    ends = np.arange(LOOKBACK, len(at) + 1)
    kept: I8 = ends[broken[ends - 1] == broken[ends - LOOKBACK]].astype(np.int64)
    return kept


def rows_of(panel: Panel, horizon: str = DAY) -> Rows:
    """Everything that can be learnt from. ValueError where there are fewer than LEAST_ROWS windows."""
    parts = [_rows_of(place, series, horizon) for place, series in enumerate(panel.series.values())]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if not joined or len(joined["at"]) < LEAST_ROWS:
        raise ValueError(f"fewer than {LEAST_ROWS} windows of {LOOKBACK} bars with a bar after them")
    return Rows(tuple(panel.series), **joined)


def _rows_of(place: int, series: Series, horizon: str) -> dict[str, Any]:
    """One instrument's rows, by the names of Rows."""
    ends = whole(series.at, APART[horizon])
    ends = ends[ends < len(series)]
    ends = ends[series.at[ends] - series.at[ends - 1] <= _NEXT[horizon]]
    bars = inputs.bars_of(series)
    found = inputs.windows(bars, ends)
    return {
        "inputs": found.inputs,
        "targets": inputs.targets(bars, found),
        "volatility": found.volatility,
        "reference": series.close[ends - 1],
        "close": series.close[ends],
        "at": series.at[ends - 1],
        "known": series.at[ends],
        "instrument": np.full(len(ends), place, dtype=np.int64),
    }


def learn(rows: Rows, chosen: npt.NDArray[np.bool_], recipe: Recipe, report: Callable[[str], None] | None) -> Model:
    """A model fitted to the chosen rows alone, without a card. chosen : bool[rows]"""

    def told(epoch: int, loss: float) -> None:
        if report is not None:
            report(f"epoch {epoch} of {recipe.epochs}, loss {loss:.4f}")

    fitted = fit(rows.inputs[chosen], rows.targets[chosen], recipe, told)
    return Model(LstmMetadata(DAY), arranged(fitted.state))


def fit_fold(rows: Rows, fold: Fold, recipe: Recipe) -> F8:
    """A fold of walk-forward evaluation: log returns that a model fitted to its `fit` and `calibrate` rows forecasts
    for its test rows, float64[tests]. Nothing is calibrated or chosen, so the newest rows before the test are learnt.
    """
    return expected(learn(rows, fold.fit | fold.calibrate, recipe, None), rows, fold.test)


def expected(model: Model, rows: Rows, chosen: npt.NDArray[np.bool_]) -> F8:
    """Log return of the next bar as the model has it, for the chosen rows, float64[chosen]."""
    given = rows.inputs[chosen]
    out = np.empty(len(given), dtype=np.float32)
    score.forecasts(model.network(), given, score.scratch(model.units), out)
    found: F8 = out.astype(np.float64) * rows.volatility[chosen]
    return found


def train(
    panel: Panel,
    seed: int,
    report: Callable[[str], None] | None = None,
    *,
    horizon: str = DAY,
    held_out: float = 0.0,
    recipe: Recipe | None = None,
    card: Card | None = None,
) -> Model:
    """A model of all windows of a panel. ValueError where there are too few.

    held_out : newest share of time that is not learnt from but measured on, for the card; card : what is known of the
    data, by default as `train all` knows it; the rest of it is filled in
    """
    rows = rows_of(panel, horizon)
    asked = replace(recipe or Recipe(), seed=seed)
    times = np.unique(rows.at)
    begin = times[min(int(len(times) * (1.0 - held_out)), len(times) - 1)] if held_out else times[-1] + 1
    chosen = rows.known <= begin if held_out else np.ones(len(rows), dtype=np.bool_)
    model = learn(rows, chosen, asked, report)
    told = {name: value for name, value in asdict(asked).items() if name != "seed"}
    filled: dict[str, Any] = {
        "rows": int(chosen.sum()), "recipe": told, "seed": seed, "limits": _LIMITS,
        "metrics": _measured(model, rows, rows.at > begin) if held_out else {},
    }  # fmt: skip
    described = LstmMetadata(horizon, card=msgspec.structs.replace(card or _card(panel, seed), **filled))
    return sound(Model(described, model.arrays))


def _card(panel: Panel, seed: int) -> Card:
    """What `train all` can tell of the data."""
    command = f"tapewatch train all --models {NAME} --seed {seed}"
    return Card(data=f"daily bars of {len(panel.series)} instruments", data_hash=hash_of(panel), command=command)


def _measured(model: Model, rows: Rows, chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Errors on rows that were not learnt from, against saying that nothing changes."""
    actual = np.log(rows.close[chosen] / rows.reference[chosen])
    if not len(actual):
        return {}
    error, naive = float(np.sqrt(np.mean((expected(model, rows, chosen) - actual) ** 2))), _root(actual)
    return {"windows held out": float(len(actual)), "return RMSE, bp": error * 1e4, "RMSE ratio": error / naive}


def _root(values: F8) -> float:
    return float(np.sqrt(np.mean(values**2)))


def predict(model: Model, panel: Panel) -> list[Forecast]:
    """The next close of each instrument whose newest LOOKBACK bars make a window. Needs no torch."""
    return [found for name, series in panel.series.items() for found in _newest(model, name, series)]


def _newest(model: Model, name: str, series: Series) -> Iterable[Forecast]:
    newest = series[-LOOKBACK:]
    if not len(whole(newest.at, APART[model.described.horizon])):
        return
    value = returns(model, inputs.bars_of(newest), np.array([LOOKBACK]))[0]
    reference = float(newest.close[-1])
    horizon = model.described.horizon
    yield Forecast(name, int(newest.at[-1]), horizon, "close", reference, reference * float(np.exp(value)))


def returns(model: Model, bars: F8, ends: I8) -> F8:
    """Log return of the next bar as the model has it, float64[ends]. bars : as `inputs.bars_of`; ends : see `whole`"""
    out = np.empty(len(ends))
    score.returns(model.network(), bars, ends.astype(np.int64), score.scratch(model.units), out)
    return out
