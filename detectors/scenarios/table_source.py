"""Writes `table.py`: numba compiles no table of functions, so what loops over scenarios is written out
(`python -m detectors.scenarios.table_source --check|--write`).
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from detectors.scenarios.library import ENGINE, MOST
from tapewatch import generated

MODULE = "detectors.scenarios.table_source"
TABLE = Path(__file__).with_name("table.py")

_HEAD = '''"""Every scenario of the library written out: its section of the configuration and its part of the kernel.

Generated from `library.py` by `python -m detectors.scenarios.table_source --write`.
"""

import msgspec
import numpy as np
import numpy.typing as npt

# A field would hide its module by name.
{imports}
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


class Sections(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of every scenario, in the order of their numbers."""

{sections}


@kernel
def strengths(  # noqa: C901 - one branch a scenario
    scenario: int, x: F8, first: int, end: int, classes: I8, rules: F8, values: F8, found: F8
) -> None:
    """How strong `scenario` is in rows first..end of a block of observations.

    x : float64[rows, observation.COUNT]; classes : int64[rows], instrument class of each row; rules : float64[classes,
    scenarios, parameters]
    values : float64[rows, 16] out, evidence and thresholds; found : float64[rows] out, strengths
    """
    # One loop for each scenario: a branch inside one loop would cost every row.
{loops}
'''

_LOOP = """    {word} scenario == {number}:
        for row in range(first, end):
            found[row] = {name}_.strength(x[row], rules[classes[row], {number}], values[row])"""


def source(modules: Sequence[ModuleType] = ENGINE) -> str:
    """The text of `table.py`; ValueError where the modules do not fit together."""
    names = [module.__name__.rpartition(".")[2] for module in modules]
    if len(modules) > MOST:
        raise ValueError(f"{len(modules)} scenarios; {MOST} fit")
    wrong = [name for name, module in zip(names, modules, strict=True) if name != module.NAME]
    if wrong or len(set(names)) < len(names):
        raise ValueError(f"scenarios must be named after their modules, each once: {', '.join(wrong)}")
    return _HEAD.format(
        imports="\n".join(f"from detectors.scenarios import {name} as {name}_" for name in sorted(names)),
        sections="\n".join(f"    {name}: {name}_.Parameters = {name}_.Parameters()" for name in names),
        loops="\n".join(
            _LOOP.format(word="elif" if number else "if", number=number, name=name) for number, name in enumerate(names)
        ),
    )


def main(words: list[str] | None = None) -> int:
    """Check the table or write it; 1 where --check finds it out of step."""
    args = generated.options(MODULE, "The scenarios written out.").parse_args(words)
    return generated.settle({TABLE: source()}, MODULE, args.write)


if __name__ == "__main__":
    sys.exit(main())
