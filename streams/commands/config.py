"""`tapewatch config`: show settings and the detector configuration with what each key means; apply a detector
configuration.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from streams.commands.models import told
from streams.engine import control
from streams.engine.detector_config import DetectorConfig
from tapewatch.desk import proposals
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.control_rows import CONFIG
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch config show
  tapewatch config apply thresholds.toml --why 'fewer alerts on thin names'
"""
_KEYS = re.compile(r"(?:^|; |\n)([a-z_0-9]+(?:, [a-z_0-9]+)*) : ")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch config`."""
    parser.epilog = _EPILOG
    acts = parser.add_subparsers(dest="act", metavar="show|apply", required=True)
    show = acts.add_parser("show", help="settings and detector configuration, with the meaning of every key")
    applying = acts.add_parser(
        "apply", help="bring a detector configuration into force: the engine switches without a restart"
    )
    applying.add_argument(
        "file", type=Path, metavar="FILE", help="TOML or JSON; keys that it does not name stay as they are"
    )
    applying.add_argument("--why", required=True, metavar="TEXT", help="reason, kept in the audit log")
    applying.add_argument(
        "--who", default="", metavar="NAME", help="who does it (default: the operating system's user)"
    )
    applying.add_argument("--proposal", default="", metavar="ID", help="approved proposal (governance.four_eyes)")
    applying.add_argument("--check", action="store_true", help="only look whether it could be applied")
    for act in (show, applying):
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")
    show.epilog = "example: tapewatch config show --json"
    applying.epilog = "example: tapewatch config apply thresholds.toml --why 'fewer alerts on thin names'"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked."""
    if args.act == "show":
        return _show(args, settings)
    before = control.config_in_force(control_rows.orders(settings))
    wanted = changed(before, read(args.file))
    if args.check:
        document = {"before": before.hash, "value": wanted.hash}
        print(msgspec.json.encode(document).decode() if args.json else f"{before.hash} -> {wanted.hash}: it could be")
        return 0
    proposals.required(settings, args.proposal, "configuration", proposals.content_hash(args.file.read_bytes()))
    return told(control.apply_config(settings, wanted, args.why, args.who), args.json)


def read(path: Path) -> dict[str, Any]:
    """A configuration file as nested tables; TapewatchError where it is neither TOML nor JSON."""
    try:
        text = path.read_text()
        tree = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise TapewatchError(
            f"{path} cannot be read: {error}", "Give TOML, or JSON in a file that ends in .json."
        ) from error
    if not isinstance(tree, dict):
        raise TapewatchError(f"{path} holds no tables", "Begin with the scenario's name: [pump_and_dump].")
    return tree


def changed(config: DetectorConfig, tree: dict[str, Any]) -> DetectorConfig:
    """The configuration with the values of `tree` in place of its own; unknown keys and bad values are refused."""
    merged: dict[str, Any] = msgspec.to_builtins(config)
    try:
        wanted = msgspec.convert(_merged(merged, tree), DetectorConfig)
    except msgspec.ValidationError as error:
        raise TapewatchError(f"detector configuration: {error}", "See `tapewatch config show` for all keys.") from error
    problem = wanted.problem()
    if problem:
        raise TapewatchError(f"detector configuration: {problem}", "Give a number that is not negative.")
    return wanted


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Nested tables with the values of `new` in place of, or beside, those of `old`."""
    return old | {
        key: _merged(old[key], value) if isinstance(value, dict) and isinstance(old.get(key), dict) else value
        for key, value in new.items()
    }


def _show(args: argparse.Namespace, settings: Settings) -> int:
    try:
        standing = control_rows.orders(settings)
    except TapewatchError as error:
        print(f"without Kafka ({error.message}): the shipped detector configuration is shown", file=sys.stderr)
        standing = {}
    config = control.config_in_force(standing)
    detectors = {
        "hash": config.hash,
        "applied": standing[CONFIG].at if CONFIG in standing else None,
        **msgspec.to_builtins(config),
    }
    if args.json:
        print(msgspec.json.encode({"settings": _redacted(settings), "detectors": detectors}).decode())
        return 0
    print("# settings: tapewatch.toml, TAPEWATCH_<SECTION>_<KEY>, flags")
    _print(settings, _redacted(settings))
    since = f"applied {standing[CONFIG].at}" if CONFIG in standing else "as shipped"
    print(f"\n# detector configuration {config.hash}, {since}: `tapewatch config apply FILE --why ...`")
    _print(config, msgspec.to_builtins(config))
    return 0


def _redacted(settings: Settings) -> dict[str, Any]:
    """Settings without what only their owner should read: passwords in URLs and in client properties."""
    tree: dict[str, Any] = msgspec.to_builtins(settings)
    hidden = re.sub(r"(://[^:/@]+):[^@]*@", r"\1:***@", tree["postgres"]["url"])
    tree["postgres"]["url"] = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", hidden)
    tree["kafka"]["password"] = "***" if tree["kafka"]["password"] else ""
    tree["kafka"]["client"] = {
        key: "***" if re.search("password|secret|key", key) else value for key, value in tree["kafka"]["client"].items()
    }
    return tree


def _print(struct: msgspec.Struct, tree: dict[str, Any]) -> None:
    """As TOML with comments: plain keys first, then one table a section."""
    for key, value in tree.items():
        part = getattr(struct, key)
        if not isinstance(part, msgspec.Struct):
            print(f"{key} = {_toml(value)}{_comment(key, struct)}")
    for key, values in tree.items():
        part = getattr(struct, key)
        if isinstance(part, msgspec.Struct):
            print(f"\n[{key}]")
            for name, value in values.items():
                print(f"{name} = {_toml(value)}{_comment(name, part)}")


def _comment(key: str, struct: msgspec.Struct) -> str:
    meaning = key_docs(type(struct)).get(key, "")
    return f"  # {meaning}" if meaning else ""


def _toml(value: Any) -> str:
    """A value as TOML writes it; tables of texts inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{msgspec.json.encode(k).decode()} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return msgspec.json.encode(value).decode()


def key_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What each field means, from `name : meaning` in the struct's docstring (several names before one colon, entries
    parted by `;` or lines).
    """
    text = "\n".join(line.strip() for line in (struct.__doc__ or "").splitlines())
    text = text.replace(". ", ".\n") if "\n" not in text.strip() else text
    found = list(_KEYS.finditer(text))
    docs: dict[str, str] = {}
    for match, following in zip(found, [*found[1:], None], strict=True):
        meaning = text[match.end() : following.start() if following else len(text)]
        for name in match[1].split(", "):
            docs[name] = " ".join(meaning.split()).rstrip(";")
    return {name: docs[name] for name in struct.__struct_fields__ if name in docs}
