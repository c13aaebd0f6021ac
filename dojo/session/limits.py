"""How much may come in: a limit for each sender, so that none takes the time of the others."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Bucket:
    """Lets `burst` through at once, and `rate` a second after that."""

    rate: float
    burst: float
    _level: float = 0.0
    _at: float = 0.0

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Take `amount`, and return 0; or take nothing, and return the seconds to wait."""
        passed = max(0.0, now - self._at)
        self._level, self._at = max(0.0, self._level - passed * self.rate), now
        over = self._level + amount - self.burst
        if over > 0:
            return over / self.rate
        self._level += amount
        return 0.0


@dataclass
class Buckets:
    """A bucket for each sender; those of the last senders are kept."""

    rate: float
    burst: float
    most: int = 1000
    _of: dict[str, Bucket] = field(default_factory=dict)

    def wait(self, sender: str, now: float, amount: float = 1.0) -> float:
        """As `Bucket.wait`, for one sender."""
        bucket = self._of.pop(sender, None) or Bucket(self.rate, self.burst)
        self._of[sender] = bucket  # at the end: the first is the one that is silent for longest
        if len(self._of) > self.most:
            del self._of[next(iter(self._of))]
        return bucket.wait(now, amount)
