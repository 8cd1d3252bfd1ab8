"""How values are spelled on a page: times, waits, numbers, browsers."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import phonenumbers

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def moment(at: datetime) -> str:
    """``15 Jan 2026, 12:00:00 UTC``."""
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def stamp(at: datetime) -> str:
    """``2026-01-15T12:00:00Z``, for programs."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def day(at: date) -> str:
    """``15 Jan 2026``."""
    return f"{at.day} {at:%b %Y}"


def span(length: timedelta | int) -> str:
    """The two largest units, rounded up to a whole second: ``4 min 10 s``."""
    exact = length if isinstance(length, timedelta) else timedelta(seconds=length)
    seconds = max(0, -(-exact // timedelta(seconds=1)))
    parts: list[tuple[int, str]] = []
    for name, size in _UNITS:
        amount, seconds = divmod(seconds, size)
        if amount or parts:
            parts.append((amount, name))
        if len(parts) == 2:
            break
    return " ".join(f"{amount} {name}" for amount, name in parts if amount) or "0 s"


@lru_cache(maxsize=4_096)
def phone(e164: str) -> str:
    """``+1 631-555-1000``: a number as people write it."""
    try:
        found = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    return str(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.INTERNATIONAL))


def count(amount: int) -> str:
    """``12,345``."""
    return f"{amount:,}"


def agent(text: str) -> str:
    """What a browser is called by people: ``Firefox on Linux``."""
    browser = next((name for sign, name in _BROWSERS if sign in text), "")
    system = next((name for sign, name in _SYSTEMS if sign in text), "")
    return " on ".join(part for part in (browser, system) if part) or text or "unknown browser"


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "stamp": stamp,
    "day": day,
    "span": span,
    "phone": phone,
    "count": count,
    "agent": agent,
}
