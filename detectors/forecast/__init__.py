"""Forecasts from bars and factors: what is known at a bar's close, and what models say of the bars after it."""
