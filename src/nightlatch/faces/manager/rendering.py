"""Templates and static files, and what every page shows besides its own."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import jinja2

from nightlatch.domain.mail import masked
from nightlatch.domain.members import Member, MemberRole
from nightlatch.domain.portfolios import Portfolio, Waba
from nightlatch.faces.formats import FILTERS
from nightlatch.faces.manager.wire import PREFIX
from nightlatch.ports import World

_PACKAGE: Final = "nightlatch.faces.manager"
_MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of ``static/``."""

    name: str
    """With a hash of what is in it, so that it may be kept for ever."""
    media_type: str
    data: bytes
    packed: bytes
    """The same with gzip. Pages are sent as they are: they hold secrets beside what was typed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around each page of somebody who is signed in."""

    portfolio: Portfolio
    wabas: tuple[Waba, ...]
    failed_mails: int
    """For owners; others see 0."""
    failed_deliveries: int = 0
    """For owners and admins; others see 0."""


async def frame_of(world: World, member: Member) -> Frame | None:
    """None when the portfolio is gone."""
    portfolio = await world.store.portfolio(member.portfolio)
    if portfolio is None:
        return None
    failed, undelivered = 0, 0
    if member.role is MemberRole.OWNER:
        failed = await world.store.failed_mails(member.portfolio)
    if member.role is not MemberRole.VIEWER:
        undelivered = await world.store.failed_deliveries(member.portfolio)
    wabas = tuple(await world.store.wabas(member.portfolio))
    return Frame(portfolio, wabas, failed, undelivered)


def render(template: str, shows: Mapping[str, Any]) -> bytes:
    return ENVIRONMENT.get_template(template).render(shows).encode()


def asset(file: str) -> str:
    """The address of a file of ``static/``."""
    return f"{PREFIX}/static/{ASSETS[file].name}"


def plural(amount: int, one: str, many: str = "") -> str:
    """``1 number``, ``2 numbers``."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def _assets() -> dict[str, Asset]:
    found = {}
    for file in files(_PACKAGE).joinpath("static").iterdir():
        stem, _, kind = file.name.rpartition(".")
        if kind in _MEDIA_TYPES:
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()[:16]
            found[file.name] = Asset(
                f"{stem}.{digest}.{kind}", _MEDIA_TYPES[kind], data, gzip.compress(data, mtime=0)
            )
    return found


ASSETS: Final = _assets()
ENVIRONMENT: Final = jinja2.Environment(
    loader=jinja2.PackageLoader(_PACKAGE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
ENVIRONMENT.filters |= FILTERS | {"masked": masked, "plural": plural}
ENVIRONMENT.globals |= {"asset": asset, "root": PREFIX}
