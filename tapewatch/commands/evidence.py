"""`tapewatch evidence`: the archive's bundles: list, show, export as one file, check, give up after their lock."""

import argparse
import sys
from pathlib import Path

import msgspec

from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.proof import audit, evidence
from tapewatch.proof.evidence import Archive, Entry
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    acts = parser.add_subparsers(dest="act", metavar="list|show|export|verify|purge", required=True)
    listed = acts.add_parser("list", help="bundles, oldest first")
    listed.add_argument("--alert", metavar="ID", help="of this alert only")
    listed.add_argument("--last", type=int, default=0, metavar="N", help="only the last N")
    show = acts.add_parser("show", help="a bundle's manifest")
    export = acts.add_parser("export", help="a bundle as one file, <name>.tar; noted in the audit log")
    export.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="folder (default: this one)")
    verify = acts.add_parser("verify", help="check chain, manifests and every part; exit with 1 where one fails")
    verify.add_argument("--anchor", default="", metavar="NAME", help="a bundle's name, kept elsewhere")
    purge = acts.add_parser("purge", help="give up the parts of bundles whose lock's date has passed")
    purge.add_argument("--bundle", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    purge.add_argument("--why", required=True, help="reason, for the audit log")
    for act in (show, export):
        act.add_argument("name", metavar="NAME|ALERT", help="a bundle's name, or an alert for its newest bundle")
    for act in (listed, show, export, verify, purge):
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch evidence list --last 20; tapewatch evidence verify"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked of the archive."""
    acts = {"list": _list, "show": _show, "export": _export, "verify": _verify, "purge": _purge}
    return acts[args.act](args, settings, Archive(settings))


def _list(args: argparse.Namespace, settings: Settings, archive: Archive) -> int:
    found = (archive.of_alert(args.alert) if args.alert else archive.entries())[-args.last :]
    if args.json:
        _print({"bundles": [_told(archive, entry) for entry in found]})
        return 0
    for entry in found:
        subject = entry.subject
        state = "purged" if archive.is_purged(entry.bundle) else "" if entry.proved else "NOT PROVED"
        revisions = ",".join(map(str, subject.revisions))
        words = (
            entry.sequence, entry.created[:19] + "Z", entry.bundle[:16], subject.alert, subject.scenario,
            subject.instrument, f"r{revisions}", f"{entry.size:,} bytes", f"locked until {entry.locked_until[:10]}",
            state,
        )  # fmt: skip
        print("  ".join(printable(str(word)) for word in words if word != ""))
    return 0


def _show(args: argparse.Namespace, settings: Settings, archive: Archive) -> int:
    entry = _chosen(archive, args.name)
    manifest = archive.bundle(entry.bundle).manifest
    content = {"bundle": entry.bundle, "purged": archive.is_purged(entry.bundle), **msgspec.to_builtins(manifest)}
    if args.json:
        _print(content)
    else:
        print(printable_lines(msgspec.json.format(msgspec.json.encode(content)).decode()))
    return 0


def _export(args: argparse.Namespace, settings: Settings, archive: Archive) -> int:
    entry = _chosen(archive, args.name)
    data = evidence.packed(archive.bundle(entry.bundle))
    path = args.to / f"{entry.bundle}.tar"
    if path.exists():
        raise TapewatchError(f"{path} is there already", "Name another folder with --to, or verify that file.")
    args.to.mkdir(parents=True, exist_ok=True)
    audit.append(
        audit.folder(settings.data_path),
        action="evidence.export",
        subject=entry.bundle,
        why="exported",
        details={"alert": entry.subject.alert},
    )
    path.write_bytes(data)
    if args.json:
        _print({"bundle": entry.bundle, "file": str(path), "bytes": len(data)})
    else:
        print(path)
    return 0


def _verify(args: argparse.Namespace, settings: Settings, archive: Archive) -> int:
    report = archive.check(args.anchor)
    if args.json:
        _print({"archive": str(archive.folder), **msgspec.to_builtins(report)})
    elif report.intact:
        print(f"intact: {report.bundles} bundles ({report.purged} purged), head {report.head}")
    else:
        for problem in report.problems:
            print(f"BROKEN  {printable(problem)}")
    return 0 if report.intact else 1


def _purge(args: argparse.Namespace, settings: Settings, archive: Archive) -> int:
    gone = archive.purge(args.why, names=tuple(args.bundle))
    if args.json:
        _print({"purged": [entry.bundle for entry in gone]})
    else:
        print(f"{len(gone)} bundles given up", file=sys.stderr)
        sys.stdout.writelines(f"{entry.bundle}\n" for entry in gone)
    return 0


def _chosen(archive: Archive, name: str) -> Entry:
    """The newest bundle of an alert, or the bundle whose name begins so."""
    of_alert = archive.of_alert(name)
    if of_alert:
        return of_alert[-1]
    wanted = archive.bundle(name).name
    found = next((entry for entry in archive.entries() if entry.bundle == wanted), None)
    if found is None:
        raise TapewatchError(f"bundle {name} is not in the index", "Run `tapewatch evidence verify`.")
    return found


def _told(archive: Archive, entry: Entry) -> dict[str, object]:
    return {**msgspec.to_builtins(entry), "purged": archive.is_purged(entry.bundle)}


def _print(content: dict[str, object]) -> None:
    print(msgspec.json.encode(content).decode())


def printable_lines(text: str) -> str:
    """Text of several lines without what could steer a terminal."""
    return "\n".join(map(printable, text.splitlines()))
