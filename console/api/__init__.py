"""The API's operations, a module a noun; each has ROUTES, and may have PARTS that live as long as the app."""

import pkgutil
from importlib import import_module

from console.routing import Route
from console.services import Part

MODULES = tuple(sorted(each.name for each in pkgutil.iter_modules(__path__)))
"""Modules of this package: a new one needs no entry anywhere."""


def routes() -> list[Route]:
    """Every operation."""
    return [route for name in MODULES for route in getattr(import_module(f"console.api.{name}"), "ROUTES", ())]


def parts() -> dict[str, Part]:
    """Every part that must be started with the app."""
    found: dict[str, Part] = {}
    for name in MODULES:
        found |= getattr(import_module(f"console.api.{name}"), "PARTS", {})
    return found
