"""The API's operations, a module a noun; each has ROUTES, and may have PARTS that live as long as the app."""

from importlib import import_module

from console.routing import Route
from console.services import Part

MODULES = ("alerts", "books", "cases", "events", "instruments", "series", "suppressions", "tape")
"""Modules of this package, in the order of the OpenAPI document."""


def routes() -> list[Route]:
    """Every operation."""
    return [route for name in MODULES for route in import_module(f"console.api.{name}").ROUTES]


def parts() -> dict[str, Part]:
    """Every part that must be started with the app."""
    found: dict[str, Part] = {}
    for name in MODULES:
        found |= getattr(import_module(f"console.api.{name}"), "PARTS", {})
    return found
