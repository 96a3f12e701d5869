"""`tapewatch verify ID`: recompute an alert or a signal from the log and compare every byte."""

import argparse
import sys

import msgspec

from streams.engine.signal_proof import verify_signal
from streams.engine.verification import Proof, UnknownAlertError, verify
from tapewatch.logs import printable
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("alert", metavar="ID", help="id of the alert or signal, 32 hexadecimal digits")
    parser.add_argument("--json", action="store_true", help="print the proof as one JSON document")
    parser.epilog = "example: tapewatch verify 5f2c0d6f0a4b4c6e9d1b7a3f8e2c4d60"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Verify; exits with 1 where the alert or signal is not what the log gives."""
    what = "alert"
    try:
        proof = verify(settings, args.alert)
    except UnknownAlertError:
        found = verify_signal(settings, args.alert)
        if found is None:
            raise
        what, proof = "signal", found
    if args.json:
        print(msgspec.json.encode(proof).decode())
    else:
        _show(proof, what)
    return 0 if proof.identical else 1


def _show(proof: Proof, what: str) -> None:
    """Tell a reader what was compared and what came out."""
    print(f"{what:<7} {proof.alert}")
    print(f"input   {proof.input}, offsets {proof.first_offset} to {proof.last_offset}")
    for finding in proof.findings:
        verdict = "identical" if finding.identical else "DIFFERENT"
        print(f"  revision {finding.revision}  {what}s[{finding.partition}] offset {finding.offset}  {verdict}")
        if not finding.same_build:
            print(f"    decided by another build than this one ({proof.build})")
        for line in finding.differences:
            print(f"    {printable(line)}")
    if proof.identical:
        print(f"proved: the log gives this {what}, byte for byte")
    else:
        print(f"NOT proved: the {what} on the topic is not what the log gives", file=sys.stderr)
