"""`tapewatch verify ID`: recompute an alert or a signal from the log, or an alert from its evidence bundles, and
compare every byte. `tapewatch verify --feed NAME`: everything that the engine made of a feed.
"""

import argparse
import os
import sys
from pathlib import Path

import msgspec

from streams.engine.verification import Proof, UnknownAlertError, find_records, verify, verify_signal
from streams.evidence.proving import prove, prove_archived
from streams.verifying.feed import verify_feed, verify_sent
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.proof import evidence
from tapewatch.proof.evidence import Archive, DamagedBundleError
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("alert", metavar="ID", nargs="?", help="id of the alert or signal, 32 hexadecimal digits")
    parser.add_argument(
        "--bundle", type=Path, metavar="FILE", help="from this file of `evidence export`, without broker and archive"
    )
    parser.add_argument(
        "--from", dest="source", choices=["auto", "log", "archive"], default="auto",
        help="what to recompute it from (default: the log, or the archive where the log is gone)",
    )  # fmt: skip
    parser.add_argument("--feed", metavar="NAME", help="everything that the engine made of this feed")
    parser.add_argument(
        "--partition", type=int, action="append", default=[], metavar="N", help="with --feed: this one only, or these"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="with --feed: processes (default: CPUs)"
    )
    parser.add_argument(
        "--wait", type=float, default=30.0, metavar="S", help="with --feed: for the engine to come to the log's end"
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="with --feed: the log against what `produce synthetic` says it sent, too",
    )
    parser.add_argument("--json", action="store_true", help="print the proof as one JSON document")
    parser.epilog = (
        "examples:\n"
        "  tapewatch verify 5f2c0d6f0a4b4c6e9d1b7a3f8e2c4d60\n"
        "  tapewatch verify --feed binance --json\n"
        "  tapewatch verify --feed synthetic --record sent.log\n"
        "exit status: 0 every byte is as the log says, 1 it is not"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Verify; exits with 1 where the alert or signal is not what the log or the bundle gives."""
    if args.feed is None and args.record is not None:
        raise TapewatchError("--record needs --feed", "Name the feed that the record is of.")
    if args.feed is not None:
        return _feed(args, settings)
    what = "alert"
    if args.bundle is not None:
        proof = _of_file(args.bundle, args.alert)
    elif not args.alert:
        raise TapewatchError("nothing to verify", "Give the id of an alert or signal, --feed NAME or --bundle FILE.")
    elif args.source == "archive":
        proof = _archived(settings, args.alert)
    else:
        what, proof = _of_log(settings, args.alert, args.source == "auto")
    if args.json:
        print(msgspec.json.encode(proof).decode())
    else:
        _show(proof, what)
    return 0 if proof.identical else 1


def _feed(args: argparse.Namespace, settings: Settings) -> int:
    """Verify a whole feed."""
    if args.alert or args.bundle is not None:
        raise TapewatchError("an alert or a feed, not both", "Give an id, or --feed NAME.")
    found = verify_feed(settings, args.feed, args.partition, max(args.workers, 1), args.wait)
    if args.record is not None:
        found = found.beside(verify_sent(settings, args.feed, args.record))
    print(msgspec.json.encode(found).decode() if args.json else "\n".join(found.lines()), flush=True)
    return 0 if found.sound else 1


def _of_file(path: Path, wanted: str | None) -> Proof:
    """The proof of a bundle in a file."""
    try:
        bundle, damage = evidence.load(path)
    except DamagedBundleError as error:
        return Proof(wanted or "", False, "", 0, 0, 0, "", source="bundle", damage=[error.message])
    if wanted and bundle.manifest.subject.alert != wanted:
        raise TapewatchError(
            f"{path.name} is of alert {bundle.manifest.subject.alert}", "Name the bundle of the alert."
        )
    return prove(bundle, damage)


def _archived(settings: Settings, alert: str) -> Proof:
    """The proof from the archive alone."""
    proof = prove_archived(Archive(settings), alert)
    if proof is None:
        raise TapewatchError(f"the archive holds no bundle of alert {alert}", "See `tapewatch evidence list`.")
    return proof


def _of_log(settings: Settings, wanted: str, or_archive: bool) -> tuple[str, Proof]:
    """`alert` or `signal`, and the proof from the log; from the archive where the log does not give it any more."""
    try:
        proof = verify(settings, wanted)
    except UnknownAlertError:
        signal = verify_signal(settings, wanted)
        if signal is not None:
            return "signal", signal
        archived = prove_archived(Archive(settings), wanted) if or_archive else None
        if archived is None:
            raise
        return "alert", archived
    except TapewatchError:
        archived = _of_archive(settings, wanted) if or_archive else None
        if archived is None:
            raise
        return "alert", archived
    if not proof.identical and or_archive:
        # A log that no longer begins where the engine did gives another alert; what was archived in time tells.
        archived = _of_archive(settings, wanted)
        proof = archived if archived is not None and archived.identical else proof
    return "alert", proof


def _of_archive(settings: Settings, alert: str) -> Proof | None:
    """The proof from the archive, with the topic's records held against the archived ones."""
    return prove_archived(Archive(settings), alert, [record.value() or b"" for record in find_records(settings, alert)])


def _show(proof: Proof, what: str) -> None:
    """Tell a reader what was compared and what came out."""
    print(f"{what:<7} {proof.alert}")
    print(f"input   {proof.input}, offsets {proof.first_offset} to {proof.last_offset}")
    for name in proof.bundles:
        print(f"bundle  {name}")
    for line in proof.damage:
        print(f"  DAMAGED  {printable(line)}")
    for finding in proof.findings:
        verdict = "identical" if finding.identical else "DIFFERENT"
        print(f"  revision {finding.revision}  {what}s[{finding.partition}] offset {finding.offset}  {verdict}")
        if not finding.same_build:
            print(f"    decided by another build than this one ({proof.build})")
        for line in finding.differences:
            print(f"    {printable(line)}")
    if proof.identical:
        print(f"proved: the {proof.source} gives this {what}, byte for byte")
    elif proof.source == "bundle":
        print(f"NOT proved: the bundle does not give this {what}", file=sys.stderr)
    else:
        print(f"NOT proved: the {what} on the topic is not what the log gives", file=sys.stderr)
