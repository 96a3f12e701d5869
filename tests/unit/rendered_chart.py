"""What helm makes of the chart for three value sets, kept in tests/vectors/helm so that tests need no helm.

`python -m tests.unit.rendered_chart --write` after a change of the chart; it needs helm 3 on the PATH or at
$XDG_CACHE_HOME/tapewatch/bin/helm (`GOBIN=... go install helm.sh/helm/v3/cmd/helm@v3.22.0`, some minutes).
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tapewatch.kernels import cache_folder

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "infra/helm"
KEPT = ROOT / "tests/vectors/helm"
SETS = ("laptop", "exchange", "global")
KUBERNETES = "1.37.0"
RELEASE, NAMESPACE = "tapewatch", "surveillance"

Object = dict[str, Any]


def helm() -> str | None:
    """The program, where there is one."""
    built = cache_folder() / "bin/helm"
    return shutil.which("helm") or (str(built) if built.is_file() else None)


def run_helm(program: str, words: list[str], values: str) -> str:
    """What helm prints of the chart with a value set. CalledProcessError where it refuses."""
    command = [
        program,
        *words,
        str(CHART),
        "--kube-version",
        KUBERNETES,
        "--values",
        str(CHART / f"values/{values}.yaml"),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def render(program: str, values: str) -> list[Object]:
    """The chart's objects."""
    text = run_helm(program, ["template", RELEASE, "--namespace", NAMESPACE], values)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(text, loader) if each]


def digest() -> str:
    """sha256 over names and contents of the chart's files."""
    found = hashlib.sha256()
    for path in sorted(path for path in CHART.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(CHART)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def kept(values: str) -> tuple[str, list[Object]]:
    """Digest of the chart that was rendered, and its objects."""
    first, *rest = (KEPT / f"{values}.jsonl").read_text().splitlines()
    return json.loads(first)["chart"], [json.loads(line) for line in rest]


def write(program: str) -> None:
    """Render all sets anew."""
    KEPT.mkdir(exist_ok=True)
    for values in SETS:
        lines = [{"chart": digest()}, *render(program, values)]
        (KEPT / f"{values}.jsonl").write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))


if __name__ == "__main__":
    there = helm()
    if sys.argv[1:] != ["--write"] or there is None:
        sys.exit(__doc__)
    write(there)
