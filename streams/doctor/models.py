"""Models: those that this build ships can be read, and those in force are where an engine looks for them."""

from collections.abc import Iterator

from confluent_kafka import KafkaException

from detectors import registry
from detectors.model_file import content_hash
from streams.doctor.brokers import is_reachable
from streams.engine.build import build_hash
from streams.engine.control import models_in_force
from streams.engine.model_store import KafkaModelStore
from streams.engine.snapshots import FORMAT
from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows


def checks(asked: CheckContext) -> Iterator[Check]:
    """Shipped, in the data folder, in force."""
    yield good("build", f"{build_hash()}, snapshot format {FORMAT}")
    yield _shipped()
    yield _own(asked)
    if is_reachable(asked.settings):
        yield _in_force(asked)


def _shipped() -> Check:
    """Every shipped model file is what its kind reads."""
    broken = []
    for name, data in registry.shipped().items():
        try:
            registry.read(data)
        except ValueError as error:
            broken.append(f"{name}: {error}")
    if broken:
        return failing("shipped models", "; ".join(broken), "Install this build again.")
    return good("shipped models", f"{len(registry.shipped())}")


def _own(asked: CheckContext) -> Check:
    """Trained models of the data folder, whose names begin with their hashes."""
    folder = asked.settings.data_path / "models"
    files = [path for path in sorted(folder.glob("*.*")) if path.suffix in (".json", ".safetensors")]
    wrong = [path.name for path in files if not content_hash(path.read_bytes()).startswith(path.name.partition(".")[0])]
    if wrong:
        return failing(
            "trained models", f"{', '.join(wrong[:5])}: not what their names say",
            "Restore them from a copy (docs/backup.md), or train them again.",
        )  # fmt: skip
    return good("trained models", f"{len(files)} in {folder}")


def _in_force(asked: CheckContext) -> Check:
    """What was promoted last can be found by every engine."""
    try:
        wanted = models_in_force(control_rows.orders(asked.settings))
        shelf = KafkaModelStore(asked.settings)
        for value in wanted.values():
            shelf.find(value)
    except KafkaException as error:
        return warning("models in force", f"not seen: {error.args[0].str()}", "See `doctor --part kafka`.")
    except TapewatchError as error:
        return failing("models in force", error.message, error.hint)
    return good("models in force", f"{len(wanted)}, all found")
