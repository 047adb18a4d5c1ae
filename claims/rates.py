"""The rate limit of one claim link: a looping script must not slow other buyers down."""

from config.rest.rates import seconds_to_wait


class TooManyRequests(Exception):
    def __init__(self, seconds: int) -> None:
        super().__init__(f"Try again in {seconds} seconds.")
        self.seconds = seconds


def count_visit(token: str) -> None:
    """Raises TooManyRequests."""
    if seconds := seconds_to_wait("claim", token):
        raise TooManyRequests(seconds)
