"""A policy as a file."""

from pathlib import Path

from detectors.ddqn.model import Policy


def kept(path: Path, policy: Policy) -> str:
    path.write_bytes(policy.encoded())
    return str(path)
