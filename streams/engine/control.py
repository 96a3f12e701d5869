"""Changing what is in force: a model or a configuration goes into every market partition as a control row, audited.

The protocol, step by step, under the data folder's lock:
1 the model's bytes go to the topic `models`: if we die here, nothing has changed;
2 the audit entry: if we die here, it tells of a change that did not happen, and the same command makes it happen;
3 the order of what is in force, by which a market topic made from now on begins: if we die here, the same command goes
on;
4 the control row in every partition of every market topic: if we die on the way, the same command writes the rest.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from detectors.model_file import content_hash
from streams.engine.detector_config import DetectorConfig
from streams.engine.model_store import KafkaModelStore
from streams.engine.models import Model, ModelSource, decode, shipped
from streams.engine.models import problem as problem_of
from streams.engine.policy import DDQN, SHADOW
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.control_rows import CONFIG, HISTORY, Order
from tapewatch.proof import audit
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class Change(msgspec.Struct, frozen=True):
    """What was done.

    subject : detector, or `config`; value : content hash now in force; before : the one before, empty where it was as
    shipped
    epoch : of the control rows; audit : hash of the audit entry; rows : offset of the control row by market topic and
    partition
    """

    subject: str
    value: str
    before: str
    epoch: int
    audit: str
    rows: dict[str, dict[int, int]]


def checked(data: bytes) -> Model:
    """The model in a file, fit for the engine; TapewatchError says what is wrong with it."""
    try:
        model = decode(data)
        problem = problem_of(model)
    except msgspec.MsgspecError as error:
        problem = str(error)
    if problem:
        raise TapewatchError(
            f"this model cannot be promoted: {problem}", "Train it again; see `tapewatch train --help`."
        )
    return model


def promote(
    settings: Settings,
    data: bytes,
    why: str,
    who: str = "",
    clock: Clock = WALL,
    action: str = "models.promote",
    shadow: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Change:
    """Bring a model into force everywhere, from each partition's control row on.

    shadow : a policy only says what it would do, on a topic of its own
    details : what the audit entry says beside the usual
    """
    model, value = checked(data), content_hash(data)
    if shadow and model.detector != DDQN:
        raise TapewatchError(f"a model of {model.detector} has no shadow", "Only policies (ddqn) have one.")
    _topics(settings)
    KafkaModelStore(settings).publish([data])
    return _order(settings, SHADOW if shadow else model.detector, value, None, (action, why, who), clock, details)


def rollback(settings: Settings, detector: str, why: str, who: str = "", clock: Clock = WALL) -> Change:
    """Bring the model before the present one into force again; twice goes back two. Behind the first shadow is none."""
    standing = control_rows.orders(settings).get(detector)
    if detector == SHADOW and standing is not None and standing.value and not standing.previous:
        return _order(settings, SHADOW, "", None, ("models.rollback", why, who), clock)
    if standing is None or not standing.previous:
        raise TapewatchError(f"there is no earlier model of {detector}", "See `tapewatch models list`.")
    data = KafkaModelStore(settings).find(standing.previous[0])
    return promote(settings, data, why, who, clock, "models.rollback", detector == SHADOW)


def apply_config(settings: Settings, config: DetectorConfig, why: str, who: str = "", clock: Clock = WALL) -> Change:
    """Bring a detector configuration into force everywhere."""
    _topics(settings)
    return _order(settings, CONFIG, config.hash, msgspec.to_builtins(config), ("config.apply", why, who), clock)


def config_in_force(standing: Mapping[str, Order]) -> DetectorConfig:
    """The detector configuration of new control rows: the one applied last, else the shipped one."""
    return msgspec.convert(standing[CONFIG].content, DetectorConfig) if CONFIG in standing else DetectorConfig()


def models_in_force(standing: Mapping[str, Order]) -> dict[str, str]:
    """Content hash by detector: those promoted, else the shipped ones."""
    hashes = {name: content_hash(data) for name, data in shipped().items()}
    return hashes | {name: order.value for name, order in standing.items() if name != CONFIG and order.value}


def seed_new_feed(settings: Settings, topic: str, clock: Clock = WALL) -> int:
    """Let a new market topic begin with what is in force; see tapewatch.market_log.control_rows."""
    return control_rows.seed_new_feed(settings, topic, clock)


def find(settings: Settings, shelf: ModelSource, wanted: str) -> bytes:
    """A model file by content hash (a unique beginning will do): of the data folder's registry, shipped, or promoted
    once.
    """
    own = sorted((settings.data_path / "models").glob(f"{wanted}*.*")) if wanted else []
    if len(own) > 1:
        raise TapewatchError(f"{wanted} begins {len(own)} hashes", "Give more of the hash.")
    return own[0].read_bytes() if own else shelf.find(wanted)


def _order(
    settings: Settings,
    subject: str,
    value: str,
    content: dict[str, Any] | None,
    act: tuple[str, str, str],
    clock: Clock,
    details: Mapping[str, Any] | None = None,
) -> Change:
    """Steps 2 to 4. act : audit action, why, who; details : what the audit entry says beside the usual"""
    action, why, who = act
    if not why.strip():
        raise TapewatchError("a change needs a reason", "Give it with --why.")
    with control_rows.exclusive(settings):
        standing = control_rows.orders(settings)
        before, previous = _history(standing.get(subject), subject, value, action)
        epoch = control_rows.next_epoch(standing, clock)
        places = control_rows.market_partitions(settings)
        told = {
            "value": value,
            "before": before,
            "epoch": epoch,
            "partitions": {name: len(them) for name, them in places.items()},
        }
        entry = audit.append(
            audit.folder(settings.data_path),
            action=action,
            subject=f"{subject} {value}",
            why=why,
            who=who,
            details=told | ({"content": content} if content else {}) | dict(details or {}),
            clock=clock,
        )
        order = Order(subject, value, epoch, to_rfc3339(clock.now()), entry.who, why, entry.hash, content, previous)
        key, data = control_rows.record(order)
        _put(settings, key, data)
        # After the order: a topic made in between begins with it.
        places = control_rows.market_partitions(settings)
        rows = control_rows.write(settings, {**standing, subject: order}, places, clock)
    return Change(subject, value, before, epoch, entry.hash, rows)


def _history(standing: Order | None, subject: str, value: str, action: str) -> tuple[str, tuple[str, ...]]:
    """The value before, and the earlier values that the new order remembers, newest first."""
    original = content_hash(shipped()[subject]) if subject in shipped() else ""
    before = standing.value if standing else original
    earlier = standing.previous if standing else ()
    if action == "models.rollback":
        return before, earlier[1:]
    if value == before:
        return before, earlier
    return before, tuple(filter(None, (before, *earlier)))[:HISTORY]


def _topics(settings: Settings) -> None:
    kafka.create_topics(settings, topics.shared_topics(settings.topics))


def _put(settings: Settings, key: bytes, data: bytes) -> None:
    """A record of the topic `models`, taken by the broker."""
    sent = kafka.Deliveries(kafka.producer(settings, linger_ms=0))
    sent.send(topics.MODELS, data, key)
    sent.settle()
