"""A call that is not done, and why."""


class RefusedError(Exception):
    """A call that is not done. status : HTTP status; reason : in words, for people; hint : what to do next."""

    def __init__(self, status: int, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.hint = status, reason, hint
