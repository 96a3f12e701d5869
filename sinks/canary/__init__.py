"""Whether our own manipulation is found, and how soon it can be read in the topic and in each store."""

from sinks.canary.watch import CanarySink, Progress, Summary

__all__ = ["CanarySink", "Progress", "Summary"]
