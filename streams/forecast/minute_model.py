"""Which model the minute stage forecasts with: the one the settings name, else the newest in the registry's folder."""

from pathlib import Path

from detectors.forecast.lstm.model import MINUTE, Model, decode
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_HINT = "Train one: tapewatch train lstm --minute BARS.csv; or name one of the data folder in forecast.model."


def chosen(settings: Settings) -> Model:
    """The model. TapewatchError where there is none, or the one named is no minute model."""
    folder = settings.data_path / "models"
    named = settings.forecast.model
    paths = [folder / f"{named}.safetensors"] if named else sorted(folder.glob("*.safetensors"), key=_age)
    found = next((model for path in paths if (model := _read(path)) is not None), None)
    if found is None:
        raise TapewatchError(f"no minute model {named + ' ' if named else ''}in {folder}", _HINT)
    return found


def _age(path: Path) -> tuple[int, str]:
    """Newest first; of two written at the same time the name decides."""
    return -path.stat().st_mtime_ns, path.name


def _read(path: Path) -> Model | None:
    """The minute model of a file; None where it holds something else or is not there."""
    try:
        model = decode(path.read_bytes())
    except (OSError, ValueError):
        return None
    return model if model.described.horizon == MINUTE else None
