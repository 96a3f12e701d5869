"""The fault kit: a stack of its own, a synthetic market through it, faults on a schedule, and what came of it."""
