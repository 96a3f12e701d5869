"""Boosted trees, whatever they judge: their nodes in a model file, their training, and their compiled walk."""
