"""What was found: counts of lost, doubled and different by check, each with its first examples."""

from collections.abc import Iterable, Mapping
from typing import Any

KINDS = ("lost", "doubled", "different")
EXAMPLES = 5


class Report:
    """Counts by check. seen : how many things each check looked at"""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._examples: dict[str, dict[str, list[Any]]] = {}

    def looked(self, check: str, count: int) -> None:
        """A check looked at so many things."""
        self.seen[check] = self.seen.get(check, 0) + count
        self._counts.setdefault(check, dict.fromkeys(KINDS, 0))

    def tell(self, check: str, kind: str, examples: Iterable[Mapping[str, Any]], count: int | None = None) -> None:
        """Things that are wrong. count : how many, where the examples are not all of them"""
        examples = list(examples)
        count = len(examples) if count is None else count
        if not count:
            return
        self.looked(check, 0)
        self._counts[check][kind] += count
        kept = self._examples.setdefault(check, {}).setdefault(kind, [])
        kept += examples[: EXAMPLES - len(kept)]

    @property
    def total(self) -> dict[str, int]:
        """Lost, doubled and different over all checks."""
        return {kind: sum(each[kind] for each in self._counts.values()) for kind in KINDS}

    @property
    def document(self) -> dict[str, Any]:
        """Totals, then each check with what it looked at and its examples."""
        checks = {
            name: {
                "seen": self.seen[name],
                **counts,
                **({"examples": self._examples[name]} if any(counts.values()) else {}),
            }
            for name, counts in self._counts.items()
        }
        return {**self.total, "checks": checks}
