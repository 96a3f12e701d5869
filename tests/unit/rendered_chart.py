"""What helm makes of the chart for three value sets."""

import subprocess
from functools import cache
from typing import Any

import yaml

from tests.unit.deployed import ROOT, program

CHART = ROOT / "infra/helm"
SETS = ("laptop", "exchange", "global")
KUBERNETES = "1.37.0"
RELEASE, NAMESPACE = "tapewatch", "surveillance"

Object = dict[str, Any]


def run_helm(words: list[str], values: str) -> str:
    """What helm prints of the chart with a value set. CalledProcessError where it refuses."""
    command = [program("helm", "helm-binary"), *words, str(CHART), "--kube-version", KUBERNETES]
    command += ["--values", str(CHART / f"values/{values}.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@cache
def rendered(values: str) -> list[Object]:
    """The chart's objects."""
    text = run_helm(["template", RELEASE, "--namespace", NAMESPACE], values)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(text, loader) if each]
