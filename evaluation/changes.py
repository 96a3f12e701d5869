"""What a what-if changes: `--set scenario.NAME.param=value` and `--models detector=hash` over what is in force."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from streams.commands.config import changed
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ModelSource
from tapewatch.errors import TapewatchError

_PREFIX = "scenario."

P = TypeVar("P", bound=msgspec.Struct)


def keys_of(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of nested tables and their values."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from keys_of(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def with_settings(config: DetectorConfig, wanted: Sequence[str]) -> DetectorConfig:
    """The configuration with every `key=value` in its place; `scenario.` before a key may be left out.

    TapewatchError where a key is unknown, with those that are near, or a value does not fit.
    """
    tree: dict[str, Any] = msgspec.to_builtins(config)
    known = [key for key, _ in keys_of(tree)]
    touched: set[str] = set()
    for one in wanted:
        key, equals, text = one.partition("=")
        key = key.strip().removeprefix(_PREFIX)
        if not equals or not text.strip():
            raise TapewatchError(f"--set {one} sets nothing", "Write it as scenario.NAME.param=value.")
        section = key.partition(".")[0]
        takes_new = section in tree and not isinstance(getattr(config, section), msgspec.Struct)
        _place(tree, key, _value(text), known, takes_new)
        touched.add(section)
    return changed(config, {section: tree[section] for section in sorted(touched)})


def with_values(parameters: P, wanted: Sequence[str]) -> P:
    """One scenario's parameters with every `name=value` in its place; TapewatchError where one is unknown, no number,
    or negative.
    """
    values: dict[str, float] = {}
    for one in wanted:
        name, equals, text = (part.strip() for part in one.partition("="))
        value = _value(text) if equals else None
        if name not in parameters.__struct_fields__:
            raise _unknown(name, parameters.__struct_fields__)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0.0:
            raise TapewatchError(f"--set {one} gives no number of 0 or more", "Write it as NAME=VALUE.")
        values[name] = float(value)
    return msgspec.structs.replace(parameters, **values)


def _place(tree: dict[str, Any], key: str, value: Any, known: Sequence[str], takes_new: bool) -> None:
    """Set a dotted key in nested tables. takes_new : the tables, such as overrides by class, take keys of their own"""
    *parents, leaf = key.split(".")
    place = tree
    for name in parents:
        inner = place.setdefault(name, {}) if takes_new else place.get(name)
        if not isinstance(inner, dict):
            raise _unknown(key, known)
        place = inner
    if not parents or (leaf not in place and not takes_new):
        raise _unknown(key, known)
    place[leaf] = value


def _unknown(key: str, known: Sequence[str]) -> TapewatchError:
    """Names the keys that are near: by spelling, or with the same parameter."""
    leaf = key.rpartition(".")[2]
    near = difflib.get_close_matches(key, known, n=5, cutoff=0.6)
    near += [one for one in known if one.rpartition(".")[2] == leaf and one not in near]
    hint = f"Near it: {', '.join(near[:8])}." if near else "See `tapewatch config show` for all keys."
    return TapewatchError(f"the detector configuration has no key {key!r}", hint)


def _value(text: str) -> Any:
    """A number, truth value, text or list as JSON writes it; anything else is a text."""
    try:
        return msgspec.json.decode(text.strip())
    except msgspec.DecodeError:
        return text.strip()


def differences(old: DetectorConfig, new: DetectorConfig) -> dict[str, dict[str, Any]]:
    """Every key whose value differs, with both; None where one has no such key."""
    before, after = (dict(keys_of(msgspec.to_builtins(config))) for config in (old, new))
    names = [*before, *(name for name in after if name not in before)]
    return {
        name: {"old": before.get(name), "new": after.get(name)} for name in names if before.get(name) != after.get(name)
    }


def model_changes(wanted: Sequence[str], shelf: ModelSource, known: Mapping[str, str]) -> dict[str, str]:
    """Content hash by detector of every `detector=hash`; TapewatchError where detector or model is not known."""
    found: dict[str, str] = {}
    for one in wanted:
        detector, equals, model = (part.strip() for part in one.partition("="))
        if not equals or detector not in known:
            raise TapewatchError(
                f"--models {one} names no detector in force", f"Write detector=hash, one of: {', '.join(known)}."
            )
        shelf.find(model)
        found[detector] = model
    return found
