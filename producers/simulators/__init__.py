"""Loopback servers that speak the venues' protocols, replay recordings and misbehave on demand: part of the product."""
