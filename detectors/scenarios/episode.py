"""What all scenarios share: the fields of an episode and the kinds of events."""

# Fields of an episode's state, float64[16]. Scenario modules use WORK and above as they like.
OPEN, ONSET, DECIDED, REVISION, ONSET_OFFSET, DECIDED_OFFSET, LAST_HIT, PEAK, WORK = range(9)

NONE, OPENED, UPDATED, CLOSED = 0, 1, 2, 3
"""What a step says."""

KMEANS_ANOMALY, PUMP_AND_DUMP = 0, 1
"""Scenario numbers; SCENARIOS names them in this order."""

SCENARIOS = ("kmeans_anomaly", "pump_and_dump")
