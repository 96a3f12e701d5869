"""Connectors, one module or package a venue."""
