"""A suspicious transaction and order report: the fields of Delegated Regulation (EU) 2016/957's template, and a first
draft of one from an alert and its case.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from console.api.moments import Context
from console.reports.charts import shown
from console.reports.evidence_report import when, worded
from tapewatch.contract.messages import Alert, Case

NO_NUL = "^[^\\x00]*$"
Short = Annotated[str, Meta(max_length=300, pattern=NO_NUL)]
Long = Annotated[str, Meta(max_length=20_000, pattern=NO_NUL)]
Country = Annotated[str, Meta(pattern="^([A-Z]{2})?$", description="ISO 3166-1 alpha-2; empty where unknown")]
Breach = Literal["insider_dealing", "market_manipulation", "attempted_insider_dealing", "attempted_market_manipulation"]


class Submitter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section 1: who submits the report."""

    person: Annotated[Short, Meta(description="natural person in charge of the submission")] = ""
    position: Annotated[Short, Meta(description="position within the reporting entity")] = ""
    entity: Annotated[Short, Meta(description="reporting entity: full name and legal form")] = ""
    lei: Annotated[str, Meta(pattern="^([A-Z0-9]{18}[0-9]{2})?$", description="its LEI (ISO 17442)")] = ""
    address: Annotated[Short, Meta(description="its address")] = ""
    capacity: Annotated[Short, Meta(description="acting capacity, such as operating a trading venue, own account")] = ""
    activity: Annotated[Short, Meta(description="its trading activity and instruments, such as market making")] = ""
    relationship: Annotated[Short, Meta(description="its relationship with the suspected person")] = ""
    contact_name: Annotated[Short, Meta(description="whom to ask for more")] = ""
    contact_position: Short = ""
    contact_phone: Short = ""
    contact_email: Short = ""


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One order or transaction of section 2."""

    kind: Literal["order", "transaction"] = "transaction"
    reference: Annotated[Short, Meta(description="reference number")] = ""
    at: Annotated[Short, Meta(description="date and time, with the zone")] = ""
    settlement: Annotated[Short, Meta(description="settlement date and time")] = ""
    side: Literal["buy", "sell", ""] = ""
    price: Annotated[Short, Meta(description="price with its currency")] = ""
    quantity: Short = ""
    order_type: Annotated[Short, Meta(description="such as limit or market order")] = ""
    placed: Annotated[Short, Meta(description="the way the order was placed, such as by phone or electronically")] = ""
    placed_by: Annotated[Short, Meta(description="who actually placed it")] = ""
    received_by: Annotated[Short, Meta(description="who actually received it")] = ""
    transmitted: Annotated[Short, Meta(description="by what means it was transmitted")] = ""
    changes: Annotated[Short, Meta(description="cancellation or alteration: when, by whom, what")] = ""


class Trading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section 2: the orders and transactions."""

    instrument: Annotated[Short, Meta(description="full name or description of the financial instrument")] = ""
    identifier: Annotated[Short, Meta(description="ISIN, or another code where there is none")] = ""
    classification: Annotated[Short, Meta(description="type, such as its CFI code (ISO 10962)")] = ""
    underlying: Annotated[Short, Meta(description="OTC derivatives: underlying and terms")] = ""
    venue: Annotated[Short, Meta(description="name of the trading venue, or outside one")] = ""
    mic: Annotated[str, Meta(pattern="^([A-Z0-9]{4})?$", description="its code (ISO 10383)")] = ""
    country_given: Country = ""
    country_executed: Country = ""
    description: Annotated[Long, Meta(description="what was ordered and traded, in words")] = ""
    items: Annotated[list[Item], Meta(max_length=500)] = []


class Suspicion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section 3: the nature of the suspicion."""

    breach: Breach = "market_manipulation"
    reasons: Annotated[Long, Meta(description="the activity, how it was noticed, and why it is suspicious")] = ""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section 4: a person whose orders or transactions could be the breach."""

    name: Short = ""
    date_of_birth: Annotated[str, Meta(pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    national_id: Annotated[Short, Meta(description="national identification number")] = ""
    address: Short = ""
    employment: Annotated[Short, Meta(description="place and position")] = ""
    accounts: Annotated[Short, Meta(description="cash and securities accounts, joint ones and powers of attorney")] = ""
    client_code: Annotated[Short, Meta(description="client identifier of transaction reporting, or another code")] = ""
    issuer: Annotated[Short, Meta(description="relationship with the issuer of the instruments")] = ""


class Stor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report. alert, case : ids it was drafted from; additional, documents : sections 5 and 6"""

    alert: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    case: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    submitter: Submitter = Submitter()
    trading: Trading = Trading()
    suspicion: Suspicion = Suspicion()
    persons: Annotated[list[Person], Meta(max_length=100)] = []
    additional: Long = ""
    documents: Annotated[list[Short], Meta(max_length=100)] = []


_SECTIONS = {
    "submitter.person": "name of the person in charge",
    "submitter.entity": "name of the reporting entity",
    "submitter.contact_name": "contact",
    "trading.instrument": "instrument",
    "trading.description": "description of the orders or transactions",
    "suspicion.reasons": "reasons for the suspicion",
}


def missing(stor: Stor) -> list[str]:
    """What the template wants in any case and the report does not say."""
    return [
        told for path, told in _SECTIONS.items() if not getattr(getattr(stor, path.split(".")[0]), path.split(".")[1])
    ]


def draft(alert: Alert, name: str, case: Case | None, context: Context, bundles: list[str]) -> Stor:
    """A first draft. name : of the instrument; bundles : names of the alert's evidence bundles

    What surveillance cannot know (persons, the submitter) stays empty: people fill it in.
    """
    venue = alert.instrument.rpartition(".")[2]
    reasons = [alert.sentence, "", "Evidence against thresholds:"]
    for each in alert.evidence:
        limit = "" if each.threshold is None else f" (threshold {each.relation} {shown(each.threshold)})"
        reasons.append(f"- {each.feature}: {shown(each.value)}{limit} {each.unit}".rstrip())
    reasons += ["", f"Noticed by automated surveillance (scenario {worded(alert.scenario)}) at {when(alert.decided)}."]
    notes = [f"- {when(step.at)} {step.who}: {step.why}" for step in case.history if step.why] if case else []
    source = alert.provenance
    additional = [
        f"Alert {alert.id}, revision {alert.revision}, severity {alert.severity}, score {alert.score:.1f} of 100.",
        f"Recorded market data: {source.topic}[{source.partition}], offsets {source.onset_offset} to "
        f"{source.updated_offset}. The alert can be recomputed from it byte for byte.",
        *(["", "Notes of the case:", *notes] if notes else []),
    ]
    return Stor(
        alert=alert.id,
        case=case.id if case else "",
        trading=Trading(
            instrument=f"{name or alert.instrument}"[:300],
            identifier=alert.instrument,
            venue=venue,
            mic=venue if len(venue) == 4 else "",
            description=_described(alert, context)[:20_000],
        ),
        suspicion=Suspicion(reasons=_clean("\n".join(reasons))),
        additional=_clean("\n".join(additional)),
        documents=[f"Evidence bundle {each} (SHA-256)" for each in bundles][:100],
    )


def _clean(text: str) -> str:
    return text.replace("\x00", "")[:20_000]


def _described(alert: Alert, context: Context) -> str:
    """The trading between onset and decision, from the tape."""
    t, seconds = [], context.seconds
    volume = 0.0
    prices: list[float] = []
    for at, close, qty in zip(seconds.t, seconds.close, seconds.volume, strict=False):
        if context.onset // 1000 * 1000 <= at <= context.decided and close is not None:
            t.append(at)
            prices.append(close)
            volume += qty or 0.0
    stretch = f"From {when(alert.onset)} to {when(alert.decided)}"
    if not prices:
        return f"{stretch}: see the documents attached."
    return (
        f"{stretch}: price from {shown(prices[0])} to {shown(prices[-1])}, lowest {shown(min(prices))}, highest "
        f"{shown(max(prices))}; volume {shown(volume)} in {len(t)} seconds with trading."
    )
