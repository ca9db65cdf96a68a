"""Durations as people give them, and as the native half wants them."""

from __future__ import annotations

import datetime
from typing import Union

Duration = Union[float, int, datetime.timedelta]

FOREVER = -1


def nanoseconds(duration: Duration | None, default: int = FOREVER) -> int:
    """Nanoseconds of seconds or a timedelta; `default` for None."""
    if duration is None:
        return default
    if isinstance(duration, datetime.timedelta):
        duration = duration.total_seconds()
    if not duration >= 0:
        raise ValueError("a duration must not be negative")
    return min(int(duration * 1e9), 2**63 - 1)
