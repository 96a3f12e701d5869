"""Commands of the evaluation: evaluate, backtest."""
