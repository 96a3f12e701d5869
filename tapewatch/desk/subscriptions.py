"""Subscriptions: who is told of which alerts, where, and at what pace."""

import base64
import fnmatch
import secrets
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, unquote_plus
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from tapewatch.clock import NANOS
from tapewatch.contract.message import AlertState, Severity
from tapewatch.contract.messages import Alert
from tapewatch.errors import TapewatchError

Kind = Literal["webhook", "email", "slack", "telegram", "teams"]
State = Literal["active", "disabled"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
SCHEMES: dict[Kind, tuple[str, ...]] = {
    "webhook": ("https", "http"),
    "email": ("mailto", "mailtos"),
    "slack": ("slack",),
    "telegram": ("tgram",),
    "teams": ("workflows", "workflow", "msteams"),
}
"""What the addresses of each kind begin with; all but a webhook's are apprise URLs, which hold credentials."""
PARAMETERS: dict[Kind, frozenset[str]] = {
    "email": frozenset({"to", "cc", "bcc", "from", "name", "reply", "smtp", "mode", "user", "pass"}),
    "slack": frozenset({"footer", "image"}),
    "telegram": frozenset({"topic", "thread", "silent", "preview", "image"}),
    "teams": frozenset({"id", "signature", "ver", "wrap", "image"}),
}
"""What an apprise URL may say behind its question mark: nothing that names a file or switches a proof off."""

SECRET_BYTES = 32
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$(?!\n)"

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=_PRINTABLE)]
Word = Annotated[str, Meta(min_length=1, max_length=100, pattern=_PRINTABLE)]
Words = Annotated[tuple[Word, ...], Meta(max_length=200)]
Target = Annotated[str, Meta(min_length=1, max_length=2000, pattern=_PRINTABLE)]
Hour = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)")]


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alerts a subscription is for; what is left empty takes every one.

    about : alerts of the markets, or what the operator has to know of our own working, and no alerts: canaries
    scenarios, venues : by name; instruments : by pattern, with * and ?
    min_severity : this severity and above
    states : open, update, closed; revisions : every one, or the first alone
    """

    about: Literal["alerts", "operation"] = "alerts"
    scenarios: Words = ()
    instruments: Words = ()
    venues: Words = ()
    min_severity: Severity = "low"
    states: tuple[AlertState, ...] = ()
    revisions: Literal["every", "first"] = "every"

    def takes(self, alert: Alert) -> bool:
        """Whether this revision of an alert is for the subscription."""
        return (
            self.about == "alerts"
            and SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.min_severity)
            and (self.revisions == "every" or alert.revision == 0)
            and (not self.states or alert.state in self.states)
            and (not self.scenarios or alert.scenario in self.scenarios)
            and (not self.venues or alert.instrument.rpartition(".")[2] in self.venues)
            and (not self.instruments or any(fnmatch.fnmatchcase(alert.instrument, each) for each in self.instruments))
        )


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours in which nothing is sent; what came meanwhile goes as a digest at their end.

    start, end : local time, HH:MM; an end that is not after the start lies on the next day; zone : IANA time zone
    days : on which they begin; empty for every day; through : this severity and above is sent all the same
    """

    start: Hour
    end: Hour
    zone: Annotated[str, Meta(max_length=60, pattern=r"^[A-Za-z0-9_+/-]+$")] = "UTC"
    days: tuple[Day, ...] = ()
    through: Severity | Literal[""] = ""

    def until(self, now_ns: int) -> int:
        """The end of the quiet hours that `now_ns` lies in, UTC ns; 0 outside of them.

        A zone that this machine does not know counts as UTC.
        """
        try:
            zone = zone_named(self.zone)
        except TapewatchError:
            zone = ZoneInfo("UTC")
        today = datetime.fromtimestamp(now_ns // NANOS, zone).date()
        for day in (today - timedelta(days=1), today):
            if self.days and DAYS[day.weekday()] not in self.days:
                continue
            overnight = self.end <= self.start
            begins = _instant(day, self.start, zone)
            ends = _instant(day + timedelta(days=1) if overnight else day, self.end, zone)
            if begins <= now_ns < ends:
                return ends
        return 0

    def lets_through(self, severity: Severity) -> bool:
        """Whether an alert of this severity is sent even now."""
        return bool(self.through) and SEVERITIES.index(severity) >= SEVERITIES.index(self.through or "critical")


class Pace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a subscription is told.

    digest_minutes : gather alerts and send them together every so many minutes; 0 sends each at once
    per_hour : single alerts of a clock hour at most, the others as one summary at its end; 0 is no limit
    """

    digest_minutes: Annotated[int, Meta(ge=0, le=1440)] = 0
    per_hour: Annotated[int, Meta(ge=0, le=100_000)] = 0
    quiet: Quiet | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as it stands. It holds no secret.

    target : where it goes, shortened so that it tells no credentials; reason : why it is disabled
    entitled : patterns of the instruments that its maker may see: it is for no others
    failing_since_ns : since when nothing got through, 0 while it does; hold_until_ns : the receiver asked for a pause
    """

    id: str
    name: Name
    kind: Kind
    target: str
    filter: Filter = Filter()
    pace: Pace = Pace()
    entitled: tuple[str, ...] = ("*",)
    state: State = "active"
    reason: str = ""
    created_ns: int
    created_by: str
    updated_ns: int
    failing_since_ns: int = 0
    hold_until_ns: int = 0
    revision: int = 0

    def takes(self, alert: Alert) -> bool:
        """Whether this revision of an alert is for it."""
        seen = any(fnmatch.fnmatchcase(alert.instrument, each) for each in self.entitled)
        return self.state == "active" and seen and self.filter.takes(alert)

    def hears_operation(self, instrument: str) -> bool:
        """Whether it is about our own working, and its maker may see the instrument that this is about."""
        seen = any(fnmatch.fnmatchcase(instrument, each) for each in self.entitled)
        return self.state == "active" and seen and self.filter.about == "operation"


def zone_named(name: str) -> ZoneInfo:
    """The time zone; TapewatchError where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise TapewatchError(f"no time zone {name!r}", "Name one of the IANA database, such as Asia/Taipei.") from error


def _instant(day: date, hour: str, zone: ZoneInfo) -> int:
    """A local time as UTC nanoseconds; a time that a clock change skips or repeats is its first reading."""
    local = datetime.combine(day, time.fromisoformat(hour), zone)
    return int(local.astimezone(UTC).timestamp()) * NANOS


def new_secret() -> str:
    """A webhook secret as the Standard Webhooks specification writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def shown_target(kind: Kind, target: str) -> str:
    """The address without what may be a credential: a webhook's without query, others' scheme alone."""
    scheme, _, rest = target.partition("://")
    if kind != "webhook":
        return f"{scheme}://..."
    path, question, _ = rest.partition("?")
    return f"{scheme}://{path}" + ("?..." if question else "")


def check_target(kind: Kind, target: str) -> None:
    """TapewatchError where the address is none of this kind, or says more than where a message goes."""
    scheme = target.partition("://")[0].lower()
    if "://" not in target or scheme not in SCHEMES[kind] or len(target) > 2000:
        told = ", ".join(f"{each}://" for each in SCHEMES[kind])
        raise TapewatchError(f"no address for {kind}", f"Give one that begins with {told}.")
    # Apprise decodes what it is given, some of it twice, and puts names into headers.
    if not unquote(unquote_plus(target)).isprintable():
        raise TapewatchError(f"an address for {kind} has control characters", "Leave them out.")
    if kind == "webhook":
        return
    # Behind a question mark wherever it stands: apprise reads a channel's # as part of the path.
    given = parse_qsl(target.partition("?")[2].replace("?", "&"), keep_blank_values=True)
    refused = sorted({name.lower() for name, _ in given} - PARAMETERS[kind])
    if any(name.lower() == "mode" and value.lower() not in ("starttls", "ssl") for name, value in given):
        refused.append("mode")
    if refused:
        known = ", ".join(sorted(PARAMETERS[kind]))
        raise TapewatchError(
            f"an address for {kind} may not say {', '.join(refused)}",
            f"Known are {known}" + ("; mode is starttls or ssl." if kind == "email" else "."),
        )
