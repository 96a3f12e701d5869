"""Predictions of a run to the topic, all in one transaction: readers see every one or none."""

import re
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import KafkaException

from streams.engine.build import build_hash
from streams.forecast.tracking import Publication, Run, Step
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import INSTRUMENT_ID
from tapewatch.contract.messages import Prediction, encode, stable_id, to_rfc3339
from tapewatch.contract.partitioner import partition_for
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

_ID = "tapewatch-train-all"
_WAIT_S = 30.0
_STALE_NS = 7 * 86_400 * NANOS
_STRANGE = re.compile(r"[^A-Z0-9_&-]+")


def instrument_id(name: str, venue: str) -> str:
    """A panel's name as an instrument id: itself where it is one, else its letters and digits at the venue.

    >>> instrument_id("2330.XTAI", "FILE"), instrument_id("SIE.DE", "FILE"), instrument_id("v1_kospi", "XKRX")
    ('2330.XTAI', 'SIE.DE', 'V1_KOSPI.XKRX')
    """
    if INSTRUMENT_ID.fullmatch(name):
        return name
    found = f"{_STRANGE.sub('-', name.upper()).strip('-')[:40]}.{venue}"
    if not INSTRUMENT_ID.fullmatch(found):
        raise TapewatchError(f"{name} at {venue} is no instrument id", "Use a venue of capitals, such as XNAS.")
    return found


def instrument_ids(names: Iterable[str], venue: str) -> dict[str, str]:
    """Id by name. TapewatchError where two names have one id: their predictions would take each other's place"""
    found: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in names:
        found[name] = instrument_id(name, venue)
        owner = owners.setdefault(found[name], name)
        if owner != name:
            raise TapewatchError(f"{owner} and {name} are both {found[name]}", "Rename one of the files.")
    return found


def predictions(steps: Mapping[str, Step], venue: str, known: int) -> list[Prediction]:
    """Messages of all forecasts; the same model name, instrument, target, horizon and time have the same id.

    known : when the last of all that was learnt from was known, UTC nanoseconds. Forecasts are as of then, also of an
    instrument whose newest bar is older (a holiday of its exchange), since the model knows what came after; of an
    instrument without a bar for a week there are none.
    """
    found, as_of = [], to_rfc3339(known)
    for name, step in steps.items():
        for one in (each for each in step.forecasts if each.as_of > known - _STALE_NS):
            instrument = instrument_id(one.instrument, venue)
            found.append(
                Prediction(
                    id=stable_id(name, instrument, one.target, one.horizon, as_of),
                    instrument=instrument,
                    as_of=as_of,
                    horizon=one.horizon,
                    target=one.target,
                    name=name,
                    model=step.model,
                    reference=one.reference,
                    value=one.value,
                    classes=dict(one.classes),
                    build=build_hash(),
                )
            )
    return found


def publish(settings: Settings, run: Run, steps: Mapping[str, Step], messages: Sequence[Prediction]) -> bool:
    """Send the predictions of a run unless it did so already; whether they went now.

    If we die after the transaction and before it is remembered, they are sent once more, under the same ids: stores
    keep one row an id. TapewatchError where Kafka does not take them: none is seen then, or, where the answer to the
    commit alone was lost, all.
    """
    models = {name: step.model for name, step in steps.items() if step.model}
    ids = tuple(each.id for each in messages)
    known = run.published
    if not messages or (known and known.ids == ids and known.models == models):
        return False
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    partitions = kafka.existing_topics(kafka.admin(settings))[topics.PREDICTIONS]
    producer = transactions.make_producer(settings, _ID)
    try:
        transactions.begin(transactions.fenced(producer, _WAIT_S))
        for message in messages:
            place = partition_for(message.instrument, partitions)
            kafka.enqueue(producer, topics.PREDICTIONS, encode(message), message.instrument.encode(), [], place)
        transactions.commit(producer, patience_s=_WAIT_S)
    except KafkaException as error:
        raise TapewatchError(
            f"Kafka does not take the predictions: {error}", "Run `tapewatch status`, then the same command again."
        ) from error
    run.keep_published(Publication(to_rfc3339(WALL.now()), ids, models))
    run.log("published", predictions=len(ids))
    return True
