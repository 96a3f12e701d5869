"""`tapewatch audit`: check the audit log's hash chain, or show its entries."""

import argparse
import json

import msgspec

from tapewatch.logs import printable
from tapewatch.proof import audit
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tapewatch audit`."""
    acts = parser.add_subparsers(dest="act", metavar="verify|show", required=True)
    verify = acts.add_parser("verify", help="check the whole chain; exit with 1 at the first entry that does not hold")
    verify.add_argument("--anchor", default="", metavar="HASH", help="hash of an entry, kept elsewhere")
    show = acts.add_parser("show", help="show entries, oldest first")
    show.add_argument("--last", type=int, default=0, metavar="N", help="only the last N")
    for act in (verify, show):
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch audit verify"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Verify or show the audit log of the data folder."""
    return _verify(args, settings) if args.act == "verify" else _show(args, settings)


def _verify(args: argparse.Namespace, settings: Settings) -> int:
    """0 where the chain holds, 1 where it does not."""
    path = audit.folder(settings.data_path)
    report = audit.verify(path, args.anchor)
    if args.json:
        print(json.dumps({"log": str(path / audit.LOG_FILE), **msgspec.to_builtins(report)}))
    elif report.intact:
        print(f"intact: {report.entries} entries, head {report.head}" + (f" ({report.note})" if report.note else ""))
    else:
        print(f"BROKEN at entry {report.broken}: {report.problem} ({report.entries} entries before it hold)")
    return 0 if report.intact else 1


def _show(args: argparse.Namespace, settings: Settings) -> int:
    """Print the entries, escaped so that none can steer the terminal."""
    found = audit.entries(audit.folder(settings.data_path))[-args.last :]
    if args.json:
        print(json.dumps({"entries": msgspec.to_builtins(found)}))
        return 0
    for entry in found:
        details = json.dumps(entry.details, ensure_ascii=False) if entry.details else ""
        words = (entry.sequence, entry.at[:19] + "Z", entry.who, entry.action, entry.subject, entry.why, details)
        print("  ".join(printable(str(word)) for word in words if word != ""))
    return 0
