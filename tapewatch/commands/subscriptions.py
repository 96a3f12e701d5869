"""`tapewatch subscriptions`: who is told of which alerts; what was sent; send again. Every change is audited."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from tapewatch.clock import NANOS, WALL
from tapewatch.desk import delivery_store as outbox
from tapewatch.desk import subscription_store as store
from tapewatch.desk.delivery_store import DELIVERY_STATES, DeliveryFilter
from tapewatch.desk.subscription_store import NewSubscription
from tapewatch.desk.subscriptions import DAYS, SCHEMES, SEVERITIES, Subscription
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.proof import audit
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.security.secret_box import SecretBox, secret_box
from tapewatch.settings import Settings

Answer = tuple[dict[str, Any], list[str]]
"""The JSON document, and the same in lines for people."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `subscriptions`."""
    acts = parser.add_subparsers(dest="act", metavar="|".join(_ACTS), required=True)
    made = {name: acts.add_parser(name, help=act.__doc__, description=act.__doc__) for name, act in _ACTS.items()}
    _configure_add(made["add"])
    for name in set(_ACTS) - {"add", "list"}:
        made[name].add_argument("subscription", metavar="NAME", help="name or id")
    for name in ("add", "disable", "enable", "rotate", "replay", "test"):
        made[name].add_argument("--why", default="", help="reason, for the audit log")
    made["rotate"].add_argument(
        "--overlap-hours", type=float, default=24.0, help="the old secret signs on (default: 24)"
    )
    replay = made["replay"]
    replay.add_argument("--since", required=True, metavar="TIME", help="from then on (RFC 3339), by when it was made")
    replay.add_argument("--until", metavar="TIME", help="until then, exclusive (default: now)")
    replay.add_argument("--dead", action="store_true", help="only dead letters")
    shown = made["deliveries"]
    shown.add_argument("--state", choices=DELIVERY_STATES, default="", help="only those; dead: the dead letters")
    shown.add_argument("--limit", type=int, default=50, help="at most (default: 50)")
    for each in made.values():
        each.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = (
        "example: tapewatch subscriptions add desk --kind webhook --url https://desk.example/hook --min-severity high\n"
        "         tapewatch subscriptions add night --kind telegram --url-file telegram.url --quiet 22:00-07:00 "
        "--zone Asia/Taipei\n"
        "         tapewatch subscriptions add pager --kind email --url-file pager.url --operation\n"
        "         tapewatch subscriptions deliveries desk --state dead\n"
        "         tapewatch subscriptions replay desk --since 2026-01-05T00:00:00Z --dead"
    )


def _configure_add(add: argparse.ArgumentParser) -> None:
    """Arguments of `add`."""
    add.add_argument("subscription", metavar="NAME", help="a name of your own")
    add.add_argument("--kind", choices=list(SCHEMES), default="webhook", help="default: webhook")
    where = add.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="address (other users of this machine may see it: see --url-file)")
    where.add_argument("--url-file", type=Path, metavar="FILE", help="file that holds the address; - is standard input")
    add.add_argument(
        "--operation", action="store_true", help="no alerts, but what the operator has to know: missed canaries"
    )
    for name in ("scenario", "instrument", "venue"):
        add.add_argument(f"--{name}", action="append", default=[], help="only those; may be given again")
    add.add_argument("--min-severity", choices=SEVERITIES, default="low", help="this one and above (default: low)")
    add.add_argument("--state", action="append", choices=["open", "update", "closed"], default=[], help="only those")
    add.add_argument("--first", action="store_true", help="only the first revision of an alert")
    add.add_argument("--digest", type=int, default=0, metavar="MINUTES", help="send together every so many minutes")
    add.add_argument("--per-hour", type=int, default=0, metavar="N", help="the rest of an hour comes as a summary")
    add.add_argument("--quiet", default="", metavar="HH:MM-HH:MM", help="hours in which nothing is sent")
    add.add_argument("--zone", default="UTC", help="time zone of --quiet (default: UTC)")
    add.add_argument("--day", action="append", choices=DAYS, default=[], help="days on which --quiet begins")
    add.add_argument("--through", choices=SEVERITIES, default="", help="this one and above is sent in --quiet too")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do it in one transaction, audit it, tell it."""
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as session:
            document, lines = _ACTS[args.act](args, settings, session)
    except sa.exc.OperationalError as error:
        problem = str(error.orig).strip()
        raise TapewatchError(f"PostgreSQL: {problem}", "Run `tapewatch status`; check postgres.url.") from error
    except sa.exc.ProgrammingError as error:
        raise TapewatchError("the database lacks our tables", "Run `tapewatch db migrate`.") from error
    print(json.dumps(document) if args.json else "\n".join(printable(line) for line in lines))
    return 0


def _add(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Make a subscription; a webhook's secret is shown this once."""
    new = _asked(args)
    box = secret_box(settings)
    check_reachable(new, settings)
    made, secret = store.add(session, box, new, _who(), WALL.now())
    _audit(args, settings, "subscriptions.add", made, kind=made.kind, target=made.target)
    lines = [f"{made.name} ({made.id}) goes to {made.target}"]
    lines += [f"secret: {secret}", "Keep it now: nothing shows it again."] if secret else []
    return {"subscription": _document(made), "secret": secret}, lines


def _list(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """List subscriptions with their deliveries by state."""
    found, counted = store.listed(session), outbox.counts(session)
    lines = [
        f"{each.name:<20} {each.kind:<9} {each.state:<9} {_counts(counted.get(each.id, {}))}  {each.target}"
        + (f"  ({each.reason})" if each.reason else "")
        for each in found
    ]
    documents = [{**_document(each), "deliveries": counted.get(each.id, {})} for each in found]
    return {"subscriptions": documents}, lines or ["no subscriptions"]


def _show(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Show a subscription whole, but for its secrets."""
    document = _document(store.one(session, args.subscription))
    return document, [f"{name:<15} {json.dumps(value, ensure_ascii=False)}" for name, value in document.items()]


def _disable(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Send nothing more; what waits is kept."""
    found = store.disable(session, args.subscription, args.why or f"disabled by {_who()}", WALL.now())
    _audit(args, settings, "subscriptions.disable", found)
    return _document(found), [f"{found.name} is disabled"]


def _enable(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Send again, what waits first."""
    found = store.enable(session, args.subscription, WALL.now())
    _audit(args, settings, "subscriptions.enable", found)
    return _document(found), [f"{found.name} is active"]


def _rotate(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Make a new webhook secret, shown this once; the old one signs on for a while."""
    if not 0 <= args.overlap_hours <= 24 * 90:
        raise TapewatchError("--overlap-hours is out of range", "Give 0 to 2160.")
    box: SecretBox = secret_box(settings)
    found = store.one(session, args.subscription)
    secret = store.rotate(session, box, found.id, int(args.overlap_hours * 3600) * NANOS, WALL.now())
    _audit(args, settings, "subscriptions.rotate", found, overlap_hours=args.overlap_hours)
    lines = [f"secret: {secret}", f"Keep it now; the old one signs on for {args.overlap_hours:g} hours."]
    return {"subscription": found.id, "secret": secret, "overlap_hours": args.overlap_hours}, lines


def _replay(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Send again what was made in a range of time, under the same message ids."""
    since = _time(args.since)
    until = _time(args.until) if args.until else WALL.now()
    states = ("dead",) if args.dead else ("delivered", "dead")
    found = store.one(session, args.subscription)
    count = outbox.replay(session, found.id, since, until, WALL.now(), states)
    told = {"since": to_rfc3339(since), "until": to_rfc3339(until), "messages": count}
    _audit(args, settings, "subscriptions.replay", found, **told)
    return {"subscription": found.id, **told}, [f"{count} messages of {found.name} go out again"]


def _deliveries(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Show deliveries, newest first."""
    key = store.one(session, args.subscription).id
    wanted = DeliveryFilter(subscriptions=(key,), state=args.state, limit=max(1, min(args.limit, 10_000)))
    found = outbox.deliveries(session, wanted)
    lines = [
        f"{to_rfc3339(each.created_ns)[:19]}Z  {each.state:<9} {each.type:<15} {each.instrument:<24} "
        f"{each.attempts} attempts  {each.message_id}" + (f"  {each.last_error}" if each.last_error else "")
        for each in found
    ]
    return {"deliveries": msgspec.to_builtins(found)}, lines or ["none"]


def _test(args: argparse.Namespace, settings: Settings, session: sa.Connection) -> Answer:
    """Send a test message through the outbox; the notify sink must run."""
    found = store.one(session, args.subscription)
    message = outbox.send_test(session, found.id, _who(), WALL.now())
    _audit(args, settings, "subscriptions.test", found, message=message)
    return {"subscription": found.id, "message_id": message}, [f"{message} goes out when the notify sink runs"]


_ACTS: dict[str, Callable[[argparse.Namespace, Settings, sa.Connection], Answer]] = {
    "add": _add,
    "list": _list,
    "show": _show,
    "disable": _disable,
    "enable": _enable,
    "rotate": _rotate,
    "replay": _replay,
    "deliveries": _deliveries,
    "test": _test,
}


def check_reachable(new: NewSubscription, settings: Settings) -> None:
    """TapewatchError where a webhook's address may not be reached; a name that is not known yet may come."""
    if new.kind != "webhook":
        return
    try:
        import asyncio

        from tapewatch.security.guarded_http import GuardedHttpClient, HttpRequestError
    except ImportError as error:
        raise TapewatchError("webhooks need aiohttp", "Install the extra: pip install 'tapewatch[notify]'.") from error
    try:
        asyncio.run(
            GuardedHttpClient(settings.notify.allow_networks, plain=settings.notify.allow_http).judge(new.target)
        )
    except HttpRequestError as error:
        if error.reason == "refused":
            hint = "Use a public https:// address, or see notify.allow_networks and notify.allow_http."
            raise TapewatchError(f"the address is refused: {error.detail}", hint) from error
        print(f"note: {error.message}", file=sys.stderr)


def _asked(args: argparse.Namespace) -> NewSubscription:
    """What the command line asks for; TapewatchError where it is not sound."""
    target = args.url
    if target is None:
        target = (sys.stdin.read() if str(args.url_file) == "-" else args.url_file.read_text()).strip()
    tree: dict[str, Any] = {
        "name": args.subscription,
        "kind": args.kind,
        "target": target,
        "filter": {
            "about": "operation" if args.operation else "alerts",
            "scenarios": args.scenario,
            "instruments": args.instrument,
            "venues": args.venue,
            "min_severity": args.min_severity,
            "states": args.state,
            "revisions": "first" if args.first else "every",
        },
        "pace": {"digest_minutes": args.digest, "per_hour": args.per_hour},
    }
    if args.quiet:
        start, _, end = args.quiet.partition("-")
        quiet = {"start": start, "end": end, "zone": args.zone, "days": args.day, "through": args.through}
        tree["pace"]["quiet"] = quiet
    try:
        return msgspec.convert(tree, NewSubscription)
    except msgspec.ValidationError as error:
        raise TapewatchError(f"not a subscription: {error}", "See `tapewatch subscriptions add --help`.") from error


def _time(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError as error:
        raise TapewatchError(f"{text!r} is no time", "Write it as in 2026-01-05T00:00:00Z.") from error


def _audit(args: argparse.Namespace, settings: Settings, action: str, subject: Subscription, **details: Any) -> None:
    """Keep who did it and why, before the transaction ends."""
    told = {"name": subject.name, **details}
    audit.append(audit.folder(settings.data_path), action=action, subject=subject.id, why=args.why, details=told)


def _who() -> str:
    return audit.user()


def _document(subscription: Subscription) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(subscription)
    return found


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{counted[state]} {state}" for state in DELIVERY_STATES if counted.get(state)) or "nothing sent"
