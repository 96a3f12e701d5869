"""Forecasts at work: models trained each day, their predictions published, runs recorded."""
