"""Scenarios that need to know who traded: functions over the last trades of an instrument with hashed accounts."""
