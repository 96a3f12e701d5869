"""Intervals of counts and shares, as `{mean, low, high}`."""

from scipy.stats import beta, chi2

LEVEL = 0.95
"""Of every interval."""


def poisson_rate(count: int, exposure: float) -> dict[str, float]:
    """A rate with its exact interval (Garwood 1936). exposure : what was watched, in the unit the rate is per."""
    tail = 0.5 * (1.0 - LEVEL)
    low = float(0.5 * chi2.ppf(tail, 2 * count)) if count else 0.0
    high = float(0.5 * chi2.ppf(1.0 - tail, 2 * count + 2))
    return {"mean": count / exposure, "low": low / exposure, "high": high / exposure}


def share(hits: int, of: int) -> dict[str, float]:
    """A share with its exact interval (Clopper & Pearson 1934). of : at least 1"""
    tail = 0.5 * (1.0 - LEVEL)
    low = float(beta.ppf(tail, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, of - hits)) if hits < of else 1.0
    return {"mean": hits / of, "low": low, "high": high}
