"""Manipulation scenarios: one module each, a compiled step per instrument and sealed second over an episode's own
state.
"""
