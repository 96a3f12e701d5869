"""The engine: one task per market partition turns rows into features, scores, bars and alerts, exactly once."""
