"""What `models promote` asks of a policy: a report that it beats the one in force, or a reason to do without."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors import registry
from detectors.ddqn import promotion
from detectors.ddqn.model import DETECTOR
from detectors.ddqn.promotion import NOBODY
from detectors.model_file import content_hash
from tapewatch.errors import TapewatchError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what a policy needs."""
    parser.add_argument(
        "--report-file", type=Path, metavar="FILE", help="of a policy: what `tapewatch evaluate promotion` wrote"
    )
    parser.add_argument("--force", action="store_true", help="of a policy: without a report; stands in the audit log")
    parser.add_argument(
        "--shadow", action="store_true", help="of a policy: it only says what it would do, on signals.shadow"
    )


def admitted(args: argparse.Namespace, data: bytes, in_force: Mapping[str, str]) -> dict[str, Any]:
    """What the audit log is to say of the model beside the usual.

    in_force : content hash by detector. TapewatchError where a policy comes without what it needs; whether a file is
    any model at all is not judged here.
    """
    try:
        detector = registry.read(data).detector
    except ValueError:
        detector = ""
    if detector != DETECTOR:
        if args.report_file or args.force or args.shadow:
            raise TapewatchError(
                "--report-file, --force and --shadow are for policies", "Other models are tried with evaluate what-if."
            )
        return {}
    if args.shadow:
        return {"shadow": True}
    if args.report_file:
        return _by_report(args.report_file, in_force.get(DETECTOR, NOBODY), content_hash(data))
    if args.force:
        return {"forced": True}
    champion = in_force.get(DETECTOR, NOBODY)
    raise TapewatchError(
        "a policy is promoted only with a report that it is better",
        f"Run `tapewatch evaluate promotion --champion {champion} --challenger {content_hash(data)} ...` and give its "
        "--report-file; or --force, which stands in the audit log with your reason.",
    )


def _by_report(path: Path, champion: str, challenger: str) -> dict[str, Any]:
    """What the audit log says of a report that lets the challenger in."""
    try:
        content = path.read_bytes()
        report = promotion.read(content)
    except (OSError, ValueError) as error:
        raise TapewatchError(
            f"{path} is no report that holds: {error}", "Run `tapewatch evaluate promotion` again."
        ) from error
    against = promotion.unfit(report, champion, challenger)
    if against:
        raise TapewatchError(
            f"the report does not let {challenger} in: {against}",
            "Compare it with what is in force; or --force, which stands in the audit log with your reason.",
        )
    return {
        "report": content_hash(content),
        "champion": champion,
        "p_value": report.p_value,
        "pairs": len(report.outcomes),
        "data": report.data,
    }
