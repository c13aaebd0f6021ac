"""Helpers that the specs of several katas share."""

from __future__ import annotations

from datetime import datetime, timezone


def time_of(text: object) -> object:
    """The time in UTC that an ISO 8601 text with an offset says.

    Anything else comes back as it is, or as a text that says that the offset is missing, so that a
    comparison with a time fails and shows it.
    """
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return text
    return time.astimezone(timezone.utc) if time.tzinfo else f"{text} without an offset"
