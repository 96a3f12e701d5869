"""A process's loop at work in a thread, for the length of a block."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def at_work(run: Callable[[threading.Event], object]) -> Iterator[Callable[[], bool]]:
    """Run a loop until the block ends; gives whether it has failed. A failure fails the test."""
    stop, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(stop)
        except BaseException as failure:
            failures.append(failure)
            raise

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: bool(failures)
    finally:
        stop.set()
        thread.join(600)
    assert not failures
