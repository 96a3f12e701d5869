"""Errors that tell the reader what to do next."""


class TapewatchError(Exception):
    """A failure the user can act on.

    message : what went wrong
    hint : what to do next, one imperative sentence
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(TapewatchError):
    """A setting is unknown, of the wrong type or out of range."""


class ContractError(TapewatchError):
    """The log says no: a record does not follow the contract, and every replay of it gives the same answer.

    reason : the dead-letter reason code
    """

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class UnansweredError(TapewatchError):
    """Nobody could be asked: neither yes nor no. What hangs on it is not done, never committed, and tried again."""
