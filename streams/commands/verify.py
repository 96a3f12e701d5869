"""`tapewatch verify ALERT_ID`: recompute an alert from the log and compare every byte."""

import argparse
import sys

import msgspec

from streams.engine.verification import Proof, verify
from tapewatch.logs import printable
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("alert", metavar="ALERT_ID", help="id of the alert, 32 hexadecimal digits")
    parser.add_argument("--json", action="store_true", help="print the proof as one JSON document")
    parser.epilog = "example: tapewatch verify 5f2c0d6f0a4b4c6e9d1b7a3f8e2c4d60"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Verify; exits with 1 where the alert is not what the log gives."""
    proof = verify(settings, args.alert)
    if args.json:
        print(msgspec.json.encode(proof).decode())
    else:
        _show(proof)
    return 0 if proof.identical else 1


def _show(proof: Proof) -> None:
    """Tell a reader what was compared and what came out."""
    print(f"alert   {proof.alert}")
    print(f"input   {proof.input}, offsets {proof.first_offset} to {proof.last_offset}")
    for finding in proof.findings:
        verdict = "identical" if finding.identical else "DIFFERENT"
        print(f"  revision {finding.revision}  alerts[{finding.partition}] offset {finding.offset}  {verdict}")
        if not finding.same_build:
            print(f"    decided by another build than this one ({proof.build})")
        for line in finding.differences:
            print(f"    {printable(line)}")
    if proof.identical:
        print("proved: the log gives this alert, byte for byte")
    else:
        print("NOT proved: the alert on the topic is not what the log gives", file=sys.stderr)
