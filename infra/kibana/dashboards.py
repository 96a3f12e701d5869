"""What the dashboards show."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.kibana.lens import Panel, by, count, measure, over_time

VIEWS = {
    "alerts": "alerts",
    "cases": "cases",
    "bars": "one-minute bars",
    "features": "features at minutes",
    "scores": "scores",
    "books": "order books",
    "signals": "signals",
    "predictions": "predictions",
    "positions": "paper positions",
    "health": "engine health",
}
"""Data views by kind of index, with their titles."""

GENUINE = "not tags : canary"
"""Leaves our own canaries out of queue and counts."""
CANARY = "tags : canary and tapewatch.canary.state : *"

INSTRUMENT, RISK = "tapewatch.instrument", "event.risk_score"
QUEUE = "queue"
"""The saved search, which dashboards show as a panel too."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard. rows : of panels, each with its height; the panels of a row share its width"""

    id: str
    title: str
    description: str
    rows: Sequence[tuple[int, Sequence[Panel | str]]]

    @property
    def panels(self) -> list[Panel]:
        """All panels."""
        return [panel for _, row in self.rows for panel in row if isinstance(panel, Panel)]


SURVEILLANCE = Dashboard(
    "surveillance",
    "Market surveillance",
    "Alerts by scenario, severity, instrument and time; open cases; risk",
    (
        (
            6,
            (
                Panel("alerts-count", "Alerts", "metric", "alerts", (), (count("Alerts"),), GENUINE),
                Panel(
                    "alerts-risk", "Highest risk", "metric", "alerts", (), (measure("max", RISK, "Highest risk"),),
                    GENUINE,
                ),
                Panel(
                    "cases-open", "Open cases", "metric", "cases", (), (count("Open cases"),),
                    "tapewatch.case.open : true",
                ),
            ),
        ),
        (
            12,
            (
                Panel(
                    "alerts-time", "Alerts over time", "bar_stacked", "alerts",
                    (over_time(), by("rule.name", "Scenario")), (count("Alerts"),), GENUINE,
                ),
            ),
        ),
        (
            12,
            (
                Panel(
                    "alerts-scenario", "By scenario", "donut", "alerts", (by("rule.name", "Scenario", 30),),
                    (count("Alerts"),), GENUINE,
                ),
                Panel(
                    "alerts-severity", "By severity", "donut", "alerts",
                    (by("tapewatch.alert.severity", "Severity"),), (count("Alerts"),), GENUINE,
                ),
                Panel(
                    "alerts-instrument", "Risk by instrument", "table", "alerts",
                    (by(INSTRUMENT, "Instrument", 25),),
                    (measure("max", RISK, "Highest risk"), count("Alerts"), measure("average", RISK, "Mean risk")),
                    GENUINE,
                ),
            ),
        ),
        (
            12,
            (
                Panel(
                    "cases-queue", "Open cases by risk", "table", "cases",
                    (by("event.id", "Case", 50), by(INSTRUMENT, "Instrument"), by("tapewatch.case.state", "State")),
                    (measure("max", "tapewatch.case.risk", "Risk"),
                     measure("max", "tapewatch.case.alert_count", "Alerts")),
                    "tapewatch.case.open : true",
                ),
            ),
        ),
        (15, (QUEUE,)),
    ),
)  # fmt: skip

INSTRUMENTS = Dashboard(
    "instrument",
    "Instrument",
    "One instrument (filter by tapewatch.instrument): price, volume, scores, book; alerts as annotations",
    (
        (
            14,
            (
                Panel(
                    "price", "Price", "line", "bars", (over_time(), by(INSTRUMENT, "Instrument", 5)),
                    (measure("average", "tapewatch.bar.close", "Close"),), marks="event.kind : alert",
                ),
            ),
        ),
        (
            9,
            (
                Panel(
                    "volume", "Volume", "bar_stacked", "bars", (over_time(), by(INSTRUMENT, "Instrument", 5)),
                    (measure("sum", "tapewatch.bar.volume", "Volume"),),
                ),
            ),
        ),
        (
            10,
            (
                Panel(
                    "scores", "Scores", "line", "scores", (over_time(), by("tapewatch.score.detector", "Detector")),
                    (measure("max", "tapewatch.score.probability", "Probability"),), marks="event.kind : alert",
                ),
                Panel(
                    "imbalance", "Order-book imbalance", "line", "books",
                    (over_time(), by(INSTRUMENT, "Instrument", 5)),
                    (measure("average", "tapewatch.book.imbalance", "Imbalance, best five levels"),),
                ),
            ),
        ),
        (
            9,
            (
                Panel(
                    "spread", "Spread", "line", "books", (over_time(), by(INSTRUMENT, "Instrument", 5)),
                    (measure("average", "tapewatch.book.spread", "Spread"),),
                ),
                Panel(
                    "instrument-alerts", "Alerts", "table", "alerts",
                    (by("event.id", "Alert", 50), by("rule.name", "Scenario"), by("tapewatch.alert.state", "State")),
                    (measure("max", RISK, "Risk"),),
                ),
            ),
        ),
    ),
)  # fmt: skip

SIGNALS = Dashboard(
    "signals",
    "Signals and P&L",
    "Actions of the policies, predictions, and the paper account",
    (
        (
            12,
            (
                Panel(
                    "signals-time", "Signals over time", "bar_stacked", "signals",
                    (over_time(), by("tapewatch.signal.action", "Action")), (count("Signals"),),
                ),
            ),
        ),
        (
            12,
            (
                Panel(
                    "result", "Result", "line", "positions",
                    (over_time(), by(INSTRUMENT, "Instrument", 10)),
                    (measure("average", "tapewatch.position.result", "Result"),),
                ),
                Panel(
                    "costs", "Fees and taxes", "table", "positions", (by(INSTRUMENT, "Instrument", 25),),
                    (measure("max", "tapewatch.position.fees", "Fees"),
                     measure("max", "tapewatch.position.taxes", "Taxes"),
                     measure("max", "tapewatch.position.result", "Best result")),
                ),
            ),
        ),
        (
            12,
            (
                Panel(
                    "advantage", "Advantage by instrument", "table", "signals",
                    (by(INSTRUMENT, "Instrument", 25), by("tapewatch.signal.action", "Action")),
                    (count("Signals"), measure("average", "tapewatch.signal.advantage", "Mean advantage")),
                ),
                Panel(
                    "predictions", "Predictions", "table", "predictions",
                    (by(INSTRUMENT, "Instrument", 25), by("tapewatch.prediction.name", "Model")),
                    (measure("max", "tapewatch.prediction.value", "Value"),
                     measure("max", "tapewatch.prediction.reference", "Last known")),
                ),
            ),
        ),
    ),
)  # fmt: skip

HEALTH = Dashboard(
    "health",
    "Engine health",
    "Lag, rates and refusals, from the engine's commit records; canaries",
    (
        (
            8,
            (
                Panel(
                    "canary-recall", "Canaries found in time", "metric", "health", (),
                    (measure("average", "tapewatch.canary.found", "Recall, 0 to 1"),), CANARY,
                ),
                Panel(
                    "canary-states", "Canaries", "bar_stacked", "health",
                    (over_time(), by("tapewatch.canary.state", "State")), (count("Canaries"),), CANARY,
                ),
                Panel(
                    "canary-latency", "Canaries: decision to readable", "line", "health", (over_time(),),
                    (measure("max", "tapewatch.canary.stage_s.topic", "Topic, s"),
                     measure("max", "tapewatch.canary.stage_s.postgres", "PostgreSQL, s"),
                     measure("max", "tapewatch.canary.stage_s.elasticsearch", "Elasticsearch, s")), CANARY,
                ),
            ),
        ),
        (
            10,
            (
                Panel(
                    "lag", "Lag", "line", "health", (over_time(), by("tapewatch.health.topic", "Feed")),
                    (measure("max", "tapewatch.health.lag_ms", "Lag, ms"),),
                ),
            ),
        ),
        (
            10,
            (
                Panel(
                    "rows", "Rows", "area", "health", (over_time(), by("tapewatch.health.topic", "Feed")),
                    (measure("sum", "tapewatch.health.rows", "Rows"),),
                ),
                Panel(
                    "refused", "Refused rows and records", "bar_stacked", "health",
                    (over_time(), by("tapewatch.health.topic", "Feed")),
                    (measure("sum", "tapewatch.health.refused", "Refused"),),
                ),
            ),
        ),
        (
            10,
            (
                Panel(
                    "instances", "Engine processes", "table", "health",
                    (by("tapewatch.health.instance", "Process"), by("tapewatch.health.build", "Build")),
                    (measure("sum", "tapewatch.health.rows", "Rows"),
                     measure("sum", "tapewatch.health.alerts", "Alerts"),
                     measure("sum", "tapewatch.health.duplicates", "Repeated frames"),
                     measure("max", "tapewatch.health.lag_ms", "Highest lag, ms")),
                ),
            ),
        ),
    ),
)  # fmt: skip

DASHBOARDS = (SURVEILLANCE, INSTRUMENTS, SIGNALS, HEALTH)
QUEUE_COLUMNS = (RISK, "tapewatch.alert.severity", "rule.name", INSTRUMENT, "message", "tapewatch.alert.state")
"""What the saved search shows of an alert."""
