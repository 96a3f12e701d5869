"""Whole-feed verification: what lies on the engine's topics beside what the log says must lie there."""
