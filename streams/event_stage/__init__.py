"""Stages of a few hundred records a second: Faust reads and groups, one transaction holds what comes of the records."""
