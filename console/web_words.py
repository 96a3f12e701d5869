"""Words that pages make from values: severities, states, actions, scenarios and the like, as they are shown."""

_VALUES = (
    *("low", "medium", "high", "critical"),
    *("hold", "buy", "sell", "cancel_buy", "cancel_sell", "up", "down", "flat", "bull", "bear"),
    *("injected", "found", "late", "missed"),
    *("new", "assigned", "in_review", "escalated", "closed", "reopened", "open", "update"),
    *("pending", "filled", "cancelled", "rejected", "unknown", "limit", "market", "maker", "taker"),
    *("proposed", "in_force", "ended", "approved", "applied", "failed", "configuration", "promotion"),
    *("manipulation", "genuine", "unclear", "positive", "neutral", "negative", "alert", "news"),
    *("champion", "shadow", "challenger", "viewer", "analyst", "approver", "admin"),
    *("trading", "stopped", "killed", "partly", "not_running", "stable", "empty", "dead"),
    *("true_positive", "false_positive", "inconclusive", "reported", "duplicate"),
    *("fall_big", "fall_mid", "fall_small", "rise_small", "rise_mid", "rise_big", "close", "direction", "return"),
    *("silent", "gap", "halt", "order stands", "cancel under way", "limits leave no lot"),
)
_SCENARIOS = (
    *("kmeans_anomaly", "fused_anomaly", "pump_and_dump", "spoofing", "layering", "quote_stuffing", "ramping"),
    *("momentum_ignition", "marking_the_close", "marking_the_open", "wash_trades", "wash_like_prints", "squeeze"),
    *("trash_and_cash", "reference_price", "advancing_the_bid", "price_floor_ceiling", "excessive_spread", "sweeping"),
    *("pinging", "unusual_price", "unusual_volume", "unusual_trade_size", "unusual_order_size", "matched_orders"),
    *("front_running", "painting_the_tape", "cross_market"),
)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _sentence(name: str) -> str:
    """With a capital, as lists of scenarios and states show it."""
    text = _words(name)
    return text[:1].upper() + text[1:]


_BOTH = ("new", "assigned", "in_review", "escalated", "closed", "reopened")
WORDS = frozenset(
    {*map(_words, _VALUES), *map(_sentence, (*_SCENARIOS, *_BOTH, "low", "medium", "high", "critical"))}
    | {"True positive", "False positive", "Reported to the authority", "Inconclusive", "Duplicate"}
)
"""What dynamic texts may be, as keys of the catalogues."""
