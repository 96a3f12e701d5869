"""`tapewatch models`: list and show models, make a shipped one again, promote one into force, roll back."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from detectors import registry
from detectors.model_file import content_hash
from streams.commands import promoting, reproduce
from streams.engine import control
from streams.engine.control import Change
from streams.engine.model_store import KafkaModelStore
from streams.engine.models import DETECTORS, ModelSource, ModelStore
from tapewatch.desk import proposals
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.control_rows import Order
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch models list
  tapewatch models promote 4f2a9c --why 'retrained on March'
  tapewatch models promote 9c01d7 --report-file report/promotion.json --why 'beats the policy in force'
  tapewatch models rollback kmeans --why 'too many alerts'
  tapewatch models reproduce kmeans_classic
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch models`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="list|show|promote|rollback|reproduce", required=True)
    listing = acts.add_parser("list", help="every model: trained here, shipped, promoted once")
    show = acts.add_parser("show", help="a model's card")
    bringing = acts.add_parser("promote", help="bring a model into force: the engine switches without a restart")
    rolling = acts.add_parser("rollback", help="bring the model before the present one into force again")
    again = acts.add_parser("reproduce", help="make a shipped model again from its card, and compare the hashes")
    reproduce.configure(again)
    promoting.configure(bringing)
    for act in (show, bringing):
        act.add_argument(
            "model",
            metavar="FILE|HASH",
            help="model file, content hash or its beginning, or a detector (its shipped one)",
        )
    bringing.add_argument("--proposal", default="", metavar="ID", help="approved proposal (governance.four_eyes)")
    rolling.add_argument("detector", choices=DETECTORS, nargs="?", default="kmeans", help="default: kmeans")
    for act in (bringing, rolling):
        act.add_argument("--why", required=True, metavar="TEXT", help="reason, kept in the audit log")
        act.add_argument("--who", default="", metavar="NAME", help="who does it (default: the operating system's user)")
    for act in (listing, show, bringing, rolling, again):
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")
    listing.epilog = "example: tapewatch models list --json"
    show.epilog = "example: tapewatch models show 4f2a9c"
    bringing.epilog = "example: tapewatch models promote 4f2a9c --why 'retrained on March'"
    rolling.epilog = "example: tapewatch models rollback kmeans --why 'too many alerts'"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked."""
    if args.act == "list":
        return _list(args, settings)
    if args.act == "show":
        return _show(args, settings)
    if args.act == "reproduce":
        return reproduce.run(args)
    if args.act == "promote":
        shelf, standing = reached(settings, must=True)
        data = model_file(args.model, settings, shelf)
        proposals.required(settings, args.proposal, "promotion", content_hash(data))
        details = promoting.admitted(args, data, control.models_in_force(standing))
        return told(control.promote(settings, data, args.why, args.who, shadow=args.shadow, details=details), args.json)
    return told(control.rollback(settings, args.detector, args.why, args.who), args.json)


def reached(settings: Settings, must: bool = False) -> tuple[ModelStore, dict[str, Order]]:
    """All models of the topic with what is in force; only the shipped ones where Kafka cannot be reached."""
    try:
        standing = control_rows.orders(settings)
        shelf: ModelStore = KafkaModelStore(settings)
        for order in standing.values():
            if order.content is None and order.value:
                shelf.find(order.value)
        return shelf, standing
    except TapewatchError as error:
        if must:
            raise
        print(f"without Kafka ({error.message}): models that were promoted are not shown", file=sys.stderr)
        return ModelStore(), {}


def told(change: Change, as_json: bool) -> int:
    """Print what a change did."""
    if as_json:
        print(msgspec.json.encode(change).decode())
        return 0
    count = sum(len(partitions) for partitions in change.rows.values())
    print(f"{change.subject}: {change.before or 'as shipped'} -> {change.value or 'none'}, audit {change.audit[:16]}")
    print(f"control rows in {count} partitions of {len(change.rows)} market topics")
    for topic, partitions in change.rows.items():
        print(f"  {topic}  " + "  ".join(f"{partition}@{offset}" for partition, offset in sorted(partitions.items())))
    return 0


def model_file(wanted: str, settings: Settings, shelf: ModelSource) -> bytes:
    """A model file by path, a detector's shipped one by its name, or by content hash or its beginning."""
    path = Path(wanted)
    if path.is_file():
        return path.read_bytes()
    if wanted in registry.shipped():
        return registry.shipped()[wanted]
    own = {content_hash(data): data for data in registry.shipped().values()}
    begun = [name for name in own if wanted and name.startswith(wanted)]
    return own[begun[0]] if len(begun) == 1 else control.find(settings, shelf, wanted)


def _list(args: argparse.Namespace, settings: Settings) -> int:
    """Every model that can be found, those in force marked."""
    shelf, standing = reached(settings)
    in_force = control.models_in_force(standing)
    places: dict[str, set[str]] = {}
    contents: dict[str, bytes] = {}
    trained = {path.stem: path.read_bytes() for path in sorted((settings.data_path / "models").glob("*.*"))}
    own = {content_hash(data): data for data in registry.shipped().values()}
    for place, files in (
        ("trained", trained),
        ("shipped", own),
        ("promoted", {k: v for k, v in shelf.files.items() if k not in own}),
    ):
        for name, data in files.items():
            places.setdefault(name, set()).add(place)
            contents[name] = data
    found = [_entry(name, contents[name], places[name], in_force, standing) for name in sorted(contents)]
    rows = [row for row in found if row]
    if args.json:
        print(msgspec.json.encode({"models": rows}).decode())
        return 0
    for row in rows:
        mark = "*" if row["in_force"] else "s" if "shadow" in row else " "
        where = ",".join(row["places"])
        print(
            f"{mark} {row['hash']}  {row['detector']:<15} {_size(row):>12}  {row['inputs']:>2} inputs  "
            f"{row['rows']:>9,} rows  {where}"
        )
    print("* in force, s as a shadow", file=sys.stderr)
    return 0


def _entry(
    name: str, data: bytes, places: set[str], in_force: dict[str, str], standing: dict[str, Order]
) -> dict[str, Any] | None:
    """One line of the list; None where the topic's record is no model."""
    try:
        known = registry.read(data)
    except ValueError:
        return None
    order = standing.get(known.detector)
    now = in_force.get(known.detector) == name
    shadow = {"shadow": True} if in_force.get(f"{known.detector}.shadow") == name else {}
    since = {"since": order.at, "why": order.why, "who": order.who} if now and order else {}
    return {**known.summary(), "hash": name, "places": sorted(places), "in_force": now, **since, **shadow}


def _show(args: argparse.Namespace, settings: Settings) -> int:
    """A model's card, or the whole model as JSON."""
    shelf, _ = reached(settings) if not Path(args.model).is_file() else (ModelStore(), {})
    data = model_file(args.model, settings, shelf)
    try:
        known = registry.read(data)
    except ValueError as error:
        raise TapewatchError(f"{args.model} is no model: {error}", "See `tapewatch models list`.") from error
    if args.json:
        print(msgspec.json.encode({"hash": known.hash, "model": known.model}, enc_hook=listed).decode())
    else:
        print(known.markdown(), end="")
    return 0


def listed(value: Any) -> Any:
    """A network's weights as lists; TypeError for anything else that JSON does not know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _size(row: dict[str, Any]) -> str:
    """Clusters or trees, as the kind counts them."""
    return next((f"{row[what]} {what}" for what in ("clusters", "trees", "weights") if what in row), "")
