from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Settings:
    """`personality`: "strict" refuses a known key for ever; "forgetful" answers it with the same invoice, and treats
    it as a new key once `window` is over. Times in seconds."""

    latency: float = 0.0
    personality: str = "strict"
    settle: float = 5.0  # the longest delay after which a fault's effect shows; a client must wait longer
    token_life: float = 298.0
    window: float = 3 * 86400.0
