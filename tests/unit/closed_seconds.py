"""Which seconds a driver has closed."""

from streams.driver import Driver, table
from tapewatch.clock import NANOS


def sealed(driver: Driver) -> list[int]:
    """The seconds that were closed, UTC."""
    found = table(driver.outgoing(), "sealed")
    return (found["ts"] // NANOS - 1).tolist() if found else []
