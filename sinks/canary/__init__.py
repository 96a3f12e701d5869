"""Whether our own manipulation is found, and how soon it can be read in the topic and in each store."""

from sinks.canary.summary import Progress, Summary
from sinks.canary.watch import CanarySink

__all__ = ["CanarySink", "Progress", "Summary"]
