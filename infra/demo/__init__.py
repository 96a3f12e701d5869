"""The demo: the product's own commands around one stack, shown at work, and what came out added up."""

from infra.demo.plan import Plan, Wishes
from infra.demo.show import run_demo

__all__ = ["Plan", "Wishes", "run_demo"]
