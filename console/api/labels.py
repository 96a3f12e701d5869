"""Labels: what people say of alerts and news, with who and when; training data to take along.

The topic `labels` as the console reads and writes it: all of it in memory, read on before each answer.
"""

import asyncio
import csv
import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from confluent_kafka import Consumer, Producer
from msgspec import Meta

from console.app import record
from console.csv_text import cell
from console.filters import Glob, MessageId, Word, canaries, seen_by
from console.refusal import RefusedError
from console.routing import Call, Route
from console.services import Services
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Label, stable_id
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class LabelLog:
    """Labels in the order in which they were given. Its methods wait for the broker: call them in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = threading.Lock()
        self._reader: Consumer | None = None
        self._producer: Producer | None = None
        self._next = 0
        self._labels: list[Label] = []

    def labels(self) -> list[Label]:
        """All labels as the topic stands now."""
        with self._turn:
            self._read_on()
            return list(self._labels)

    def give(self, label: Label) -> None:
        """Write a label; it is on the topic when this returns."""
        with self._turn:
            if self._producer is None:
                kafka.create_topics(self._settings, topics.case_topics(self._settings.topics))
                self._producer = kafka.producer(self._settings, linger_ms=0)
            sent = kafka.Deliveries(self._producer)
            sent.send(topics.LABELS, messages.encode(label), label.subject.encode())
            sent.settle(kafka.TIMEOUT_S)

    def close(self) -> None:
        """Give the clients back."""
        with self._turn:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _read_on(self) -> None:
        if self._reader is None:
            self._reader = kafka.consumer(self._settings)
            if topics.LABELS not in kafka.existing_topics(kafka.admin(self._settings)):
                kafka.create_topics(self._settings, topics.case_topics(self._settings.topics))
        low, high = kafka.watermarks(self._reader, topics.LABELS, 0)
        for message in kafka.read_range(self._reader, topics.LABELS, 0, max(low, self._next), high):
            # What is no label (nothing of ours writes such a record) labels nothing.
            with suppress(ContractError):
                self._labels.append(messages.decode(Label, message.value() or b""))
        self._next = high


def newest(labels: list[Label]) -> list[Label]:
    """The newest label of each subject and account, in their order."""
    held = {(label.kind, label.subject, label.who): label for label in labels}
    return sorted(held.values(), key=lambda label: label.at)


Kind = Literal["alert", "news"]
Said = Literal["manipulation", "genuine", "unclear", "positive", "neutral", "negative"]
_ALLOWED = {"alert": ("manipulation", "genuine", "unclear"), "news": ("positive", "neutral", "negative")}


class LabelQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which labels. subject : alert or news id; who : account"""

    kind: Kind = "alert"
    subject: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    who: Word = ""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 500


class LabelItemQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items to label: the newest, those without a label of anybody's by default."""

    kind: Kind = "alert"
    all: bool = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class CreateLabelRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label. instrument : not needed for alerts, which know theirs"""

    kind: Kind
    subject: MessageId
    label: Said
    why: Annotated[str, Meta(max_length=4000)] = ""
    instrument: Glob = ""


class LabelExportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Training data of one kind."""

    kind: Kind = "alert"


class LabelItem(msgspec.Struct, frozen=True):
    """Something to label. text : sentence or headline; detail : scenario and severity, or the source"""

    kind: Kind
    subject: str
    instrument: str
    at: str
    text: str
    detail: str
    url: str
    labels: list[Label]


class Row(msgspec.Struct, frozen=True):
    """A label with what it is about. values : the alert's evidence by feature, or nothing"""

    kind: Kind
    subject: str
    label: str
    who: str
    at: str
    why: str
    instrument: str
    subject_at: str
    what: str
    score: float | None
    text: str
    values: dict[str, float | None]


_ALERTS = """
SELECT a.id, i.name, a.decided_ns, a.sentence, a.scenario || ', ' || a.severity, '' FROM alerts a
JOIN instruments i ON i.id = a.instrument_id
WHERE i.name LIKE ANY(:seen) AND NOT i.name LIKE ANY(:canaries)
AND NOT a.id = ANY(:without) ORDER BY a.decided_ns DESC, a.id LIMIT :limit
"""
_NEWS = """
SELECT n.id, coalesce(n.instruments[1], ''), n.published_ns, n.headline, n.source || ', ' || n.language, n.url
FROM news n WHERE n.duplicate_of = '' AND NOT n.id = ANY(:without)
AND (cardinality(n.instruments) = 0 OR EXISTS (SELECT FROM unnest(n.instruments) m WHERE m LIKE ANY(:seen)))
ORDER BY n.published_ns DESC, n.id LIMIT :limit
"""
_ALERTS_OF = """
SELECT a.id, i.name, a.decided_ns, a.scenario, a.score, a.sentence, a.evidence FROM alerts a
JOIN instruments i ON i.id = a.instrument_id WHERE a.id = ANY(:ids)
"""
_NEWS_OF = """
SELECT n.id, coalesce(n.instruments[1], ''), n.published_ns, n.source, n.sentiment, n.headline, NULL FROM news n
WHERE n.id = ANY(:ids)
"""


async def _all(call: Call) -> list[Label]:
    """The labels that the account may see, oldest first."""
    log: LabelLog = call.services.parts["labels"]
    found = await asyncio.to_thread(log.labels)
    return [label for label in found if not label.instrument or call.account.sees(label.instrument)]


async def listed(call: Call) -> list[Label]:
    """Labels, newest first."""
    wanted: LabelQuery = call.query
    found = [
        label
        for label in await _all(call)
        if label.kind == wanted.kind
        and wanted.subject in ("", label.subject)
        and wanted.who in ("", label.who)
    ]  # fmt: skip
    return found[::-1][: wanted.limit]


async def items(call: Call) -> list[LabelItem]:
    """What there is to label, newest first."""
    wanted: LabelItemQuery = call.query
    given: dict[str, list[Label]] = {}
    for label in newest(await _all(call)):
        if label.kind == wanted.kind:
            given.setdefault(label.subject, []).append(label)
    without = [] if wanted.all else list(given)
    statement = _ALERTS if wanted.kind == "alert" else _NEWS
    hidden = {"canaries": canaries(call.services.settings)} if wanted.kind == "alert" else {}
    bound = {"seen": seen_by(call.account), "without": without, "limit": wanted.limit, **hidden}
    rows = await call.services.database.rows(statement, bound)
    return [
        LabelItem(wanted.kind, row[0], row[1], to_rfc3339(row[2]), row[3], row[4], row[5], given.get(row[0], []))
        for row in rows
        if not row[1] or call.account.sees(row[1])
    ]


async def give(call: Call) -> Label:
    """Label an alert or a news item."""
    body: CreateLabelRequest = call.body
    if body.label not in _ALLOWED[body.kind]:
        raise RefusedError(422, f"{body.label} is no label of {body.kind}", f"Use {', '.join(_ALLOWED[body.kind])}.")
    rows = await call.services.database.rows(_ALERTS_OF if body.kind == "alert" else _NEWS_OF, {"ids": [body.subject]})
    instrument = str(rows[0][1]) if rows else ""
    if not rows or (instrument and not call.account.sees(instrument)):
        raise RefusedError(404, f"there is no such {body.kind}")
    at = to_rfc3339(call.services.clock.now())
    label = Label(
        id=stable_id(body.kind, body.subject, call.account.name, at), kind=body.kind, subject=body.subject,
        label=body.label, instrument=instrument, who=call.account.name, at=at, why=body.why,
    )  # fmt: skip
    log: LabelLog = call.services.parts["labels"]
    await asyncio.to_thread(log.give, label)
    await record(call.services, call.account, "label.give", body.subject, body.why, kind=body.kind, label=body.label)
    return label


async def exported(call: Call) -> list[Row]:
    """Each account's newest label of each item, with what it is about."""
    wanted: LabelExportQuery = call.query
    labels = [label for label in newest(await _all(call)) if label.kind == wanted.kind]
    statement = _ALERTS_OF if wanted.kind == "alert" else _NEWS_OF
    found = await call.services.database.rows(statement, {"ids": sorted({label.subject for label in labels})})
    subjects = {row[0]: row for row in found}
    return [_row(label, subjects[label.subject]) for label in labels if label.subject in subjects]


async def as_csv(call: Call) -> web.Response:
    """The same as a table."""
    wanted: LabelExportQuery = call.query
    headers = {"Content-Disposition": f'attachment; filename="labels-{wanted.kind}.csv"'}
    return web.Response(body=_csv(await exported(call)), content_type="text/csv", headers=headers)


def _row(label: Label, subject: Any) -> Row:
    values = {each["feature"]: each["value"] for each in subject[6] or ()}
    return Row(
        label.kind, label.subject, label.label, label.who, label.at, label.why, subject[1], to_rfc3339(subject[2]),
        subject[3], subject[4], subject[5], values,
    )  # fmt: skip


def _csv(rows: list[Row]) -> bytes:
    """A line a label; the evidence's features as columns of their own, `value.<feature>`."""
    features = sorted({name for row in rows for name in row.values})
    names = [name for name in Row.__struct_fields__ if name != "values"]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, *(f"value.{name}" for name in features)])
    for row in rows:
        cells = [cell(getattr(row, name)) for name in names]
        writer.writerow([*cells, *(cell(row.values.get(name)) for name in features)])
    return text.getvalue().encode("utf-8", "replace")


@asynccontextmanager
async def _labels(services: Services) -> AsyncIterator[LabelLog]:
    log = LabelLog(services.settings)
    try:
        yield log
    finally:
        await asyncio.to_thread(log.close)


PARTS = {"labels": _labels}

ROUTES = [
    Route("GET", "/api/v1/labels", listed, "Labels, newest first", page="labels", query=LabelQuery, answer=list[Label]),
    Route("GET", "/api/v1/labels/items", items, "What there is to label", page="labels", query=LabelItemQuery,
          answer=list[LabelItem]),
    Route("POST", "/api/v1/labels", give, "Label an alert or a news item", role="analyst", page="labels",
          body=CreateLabelRequest, answer=Label),
    Route("GET", "/api/v1/labels/export.json", exported, "Labels with what they are about, as training data",
          role="analyst", page="labels", query=LabelExportQuery, answer=list[Row], audit="label.export"),
    Route("GET", "/api/v1/labels/export.csv", as_csv, "The same as a table", role="analyst", page="labels",
          query=LabelExportQuery, media="text/csv", audit="label.export"),
]  # fmt: skip
