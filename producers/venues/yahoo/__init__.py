"""Yahoo Finance: bars, indices, futures, currencies, splits and dividends of the chart interface."""
