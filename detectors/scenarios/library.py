"""The scenarios that the engine runs, in the order of their numbers; see docs/scenarios.

Each module says what it is (NAME), on which data it rests (TIERS), whether its rates are measured (MEASURED), its
parameters, how strong a second is (`strength`), what it shows for it (VALUES, UNITS) and says of it (`sentence`). After
a change here, `python -m detectors.scenarios.table_source --write` writes `table.py` anew.
"""

from types import ModuleType

from detectors.scenarios import kmeans_anomaly, pump_and_dump

ENGINE: tuple[ModuleType, ...] = (kmeans_anomaly, pump_and_dump)
"""Modules by number. A number is part of no message: names are."""

KMEANS_ANOMALY, PUMP_AND_DUMP = 0, 1
"""Numbers of the two that have more to go by than an observation."""

MOST = 62
"""So many scenarios fit: one bit each of an instrument's mask."""

SCENARIOS: tuple[str, ...] = tuple(module.NAME for module in ENGINE)
