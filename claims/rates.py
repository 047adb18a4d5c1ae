"""One claim link answers so often a minute and no oftener: whoever has it may be a machine that lost its way."""

from config.rest.rates import seconds_to_wait


class TooOften(Exception):
    def __init__(self, seconds: int) -> None:
        super().__init__(f"Try again in {seconds} seconds.")
        self.seconds = seconds


def count(token: str) -> None:
    """Count a visit. Raises TooOften."""
    if seconds := seconds_to_wait("claim", token):
        raise TooOften(seconds)
