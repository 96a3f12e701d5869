"""Measuring the sinks: how fast they keep a topic, and what they do while their server fails."""
