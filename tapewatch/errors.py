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
    """A frame or message does not follow the contract; `reason` is the dead-letter reason code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
