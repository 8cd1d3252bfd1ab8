"""A portfolio: the business that owns everything below it, and its WhatsApp accounts."""

from dataclasses import dataclass, replace
from datetime import datetime

from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.limits import DISPLAY_NAME_LENGTH, EMAIL_LENGTH
from nightlatch.domain.mail import Letter, Mail, To

PLACEHOLDER = "owner@example.com"
"""The address of the first portfolio, until its first owner gives a real one."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One business."""

    id: str
    name: str
    email: str
    """Where the turn-off link goes."""


@dataclass(frozen=True, slots=True)
class Waba:
    """A WhatsApp Business Account: belongs to a portfolio, holds numbers."""

    id: str
    portfolio: str
    name: str


@dataclass(frozen=True, slots=True)
class PortfolioDecision:
    """What a rule decided about a portfolio; a store keeps all of it in one atomic step."""

    portfolio: Portfolio
    events: tuple[Event, ...] = ()
    mails: tuple[Mail, ...] = ()


def read_title(text: str) -> str:
    """A portfolio's or account's name: 1 to DISPLAY_NAME_LENGTH printable characters.

    Raises:
        ParameterInvalid: it is something else.
    """
    if not text.strip() or len(text) > DISPLAY_NAME_LENGTH or not text.isprintable():
        raise ParameterInvalid("name", f"1 to {DISPLAY_NAME_LENGTH} printable characters")
    return text.strip()


def read_email(text: str) -> str:
    """What could be an e-mail address, in one line. A face checks more before it comes here.

    Raises:
        ParameterInvalid: it could not.
    """
    name, at, domain = text.rpartition("@")
    if (
        not (name and at and domain)
        or len(text) > EMAIL_LENGTH
        or not text.isprintable()
        or any(c.isspace() for c in text)
    ):
        raise ParameterInvalid("email", "an e-mail address like name@example.com")
    return text


def change(
    portfolio: Portfolio, name: str, email: str, by: str, now: datetime
) -> PortfolioDecision:
    """Another name or address; both the old and the new address hear of a new one."""
    if (name, email) == (portfolio.name, portfolio.email):
        return PortfolioDecision(portfolio)
    moved = email != portfolio.email
    event = Event(Kind.PORTFOLIO_CHANGED, by, now, (("name", name), ("address_changed", moved)))
    facts = (("portfolio", name), ("by", by), ("at", now.isoformat()))
    told = dict.fromkeys((portfolio.email, email)) if moved else {}
    mails = tuple(
        Mail(letter=Letter.ADDRESS_CHANGED, to=To.PERSON, at=now, address=address, facts=facts)
        for address in told
        if address != PLACEHOLDER
    )
    return PortfolioDecision(replace(portfolio, name=name, email=email), (event,), mails)
