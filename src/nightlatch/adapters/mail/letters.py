"""Letters: a function, a text and an HTML template for each.

A function gives the subject, the facts in rows and the path of the link. The templates of the
same name tell what happened, what to do if it was somebody else, and who gets the letter and
why. Hosts come from the configured origin alone.
"""

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from nightlatch.domain.audit import OPERATOR
from nightlatch.domain.linked import META_SAID
from nightlatch.domain.mail import Letter, Posted
from nightlatch.ports import Rendered

_WIDTH = 76
_LONG_GAP = re.compile(r"\n{3,}")
_PARAGRAPH = re.compile(r"\n\n+")
_PROGRAMS = {"system-user:": "system user", "app:": "app"}


class PaperLetters:
    """The ``Letters`` port."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._templates = Environment(
            loader=PackageLoader("nightlatch.adapters.mail"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def write(self, posted: Posted, token: str | None) -> Rendered:
        told = _Told({name: _one_line(value) for name, value in posted.facts}, posted)
        draft = _FUNCTIONS[posted.letter](told)
        link = None
        if draft.link is not None and token is not None:
            link = f"{self._origin}{draft.link}{quote(token, safe='')}"
        shows = {
            **told.facts,
            "rows": draft.rows,
            "number": told.number,
            "by": told.facts.get("by", ""),
            "by_kind": told.by_kind,
            "link": link,
            "life": told.life,
            "until": _moment(posted.good_until),
            "address": _one_line(posted.address),
            "origin": self._origin,
            "linked": told.linked,
            "number_page": f"{self._origin}/manager/{told.number_path}",
            "subject": draft.subject,
        }
        return Rendered(
            subject=draft.subject,
            text=_filled(self._body(posted.letter, "txt", shows)),
            html=self._body(posted.letter, "html", shows),
            link=link,
        )

    def _body(self, letter: Letter, kind: str, shows: Mapping[str, Any]) -> str:
        return self._templates.get_template(f"{letter.value}.{kind}").render(shows)


@dataclass(frozen=True, slots=True)
class _Told:
    """The facts of a letter, in words."""

    facts: Mapping[str, str]
    posted: Posted

    @property
    def number(self) -> str:
        """``+16315551000 (Lucky Shrub)``."""
        name, e164 = self.facts.get("name", ""), self.facts.get("number", "")
        return f"{e164} ({name})" if name else e164

    @property
    def linked(self) -> bool:
        """Whether it is about a number that lives at the Cloud API."""
        return "linked_id" in self.facts

    @property
    def number_path(self) -> str:
        if self.linked:
            return f"cloud/numbers/{quote(self.facts['linked_id'], safe='')}"
        return f"numbers/{quote(self.facts.get('number_id', ''), safe='')}"

    @property
    def by_kind(self) -> str:
        """``member``, ``user`` of a client, ``program`` with an access token, ``operator``,
        ``meta`` when Meta told of it without a name, or ``business`` for a user of Meta's."""
        by = self.facts.get("by", "")
        if by == OPERATOR:
            return "operator"
        if by.lower() == META_SAID:
            return "meta"
        if by.isdecimal():
            return "business"
        if by.startswith(tuple(_PROGRAMS)):
            return "program"
        return "user" if "/" in by and "@" not in by.partition("/")[0] else "member"

    @property
    def who(self) -> str:
        by = self.facts.get("by", "")
        if self.by_kind == "operator":
            return "the operator of this server, on the command line"
        if self.by_kind == "meta":
            return "somebody whom Meta does not name"
        if self.by_kind == "business":
            return f"the user {by} of Meta Business Suite"
        if self.by_kind == "user":
            client, _, user = by.partition("/")
            return f"user {user} of the client {client}"
        if self.by_kind == "program":
            kind, _, id = by.partition(":")
            return f"the {_PROGRAMS[kind + ':']} {id}, by an access token"
        name = self.facts.get("by_name", "")
        return f"{name} ({by})" if name else by

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.facts["at"])

    @property
    def life(self) -> str:
        """How long the link was good for when it was asked for."""
        until = self.posted.good_until
        return "" if until is None else _span(until - self.at)

    def rows(self, *first: tuple[str, str], by: str | None = "By") -> tuple[tuple[str, str], ...]:
        """*first*, then when, by whom and from where as far as that is known; None for a letter
        about what nobody but Meta did."""
        found = [*first, ("When", _moment(self.at))]
        if "by" in self.facts and by is not None:
            found.append((by, self.who))
        if "place" in self.facts:
            found.append(("From", self.facts["place"]))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a letter's function has to say; the templates say the rest."""

    subject: str
    rows: tuple[tuple[str, str], ...]
    link: str | None = None
    """Path of its link, up to the token."""


def _turn_off_link(told: _Told) -> _Draft:
    return _Draft(
        "WhatsApp Two-Step Verification Reset",
        told.rows(("Number", told.number), by="Asked by"),
        "/manager/turn-off/",
    )


def _pin_set(told: _Told) -> _Draft:
    return _about_number(told, f"Two-step verification is on for {told.facts['number']}")


def _pin_changed(told: _Told) -> _Draft:
    return _about_number(told, f"The PIN of {told.facts['number']} was changed")


def _pin_turned_off(told: _Told) -> _Draft:
    return _about_number(told, f"Two-step verification is off for {told.facts['number']}")


def _first_wrong_guess(told: _Told) -> _Draft:
    return _about_number(told, f"A wrong PIN was entered for {told.facts['number']}")


def _number_locked(told: _Told) -> _Draft:
    return _about_number(told, f"{told.facts['number']} is locked after wrong PINs")


def _number_taken_over(told: _Told) -> _Draft:
    how = "over the Cloud API" if told.by_kind == "program" else "by another client"
    return _about_number(told, f"{told.facts['number']} was registered {how}")


def _invitation(told: _Told) -> _Draft:
    return _Draft(
        f"Invitation to {told.facts['portfolio']}",
        told.rows(
            ("Portfolio", told.facts["portfolio"]), ("Role", told.facts["role"]), by="Invited by"
        ),
        "/manager/join/",
    )


def _password_reset(told: _Told) -> _Draft:
    return _Draft(
        "Set another password for Nightlatch",
        told.rows(("Login", _one_line(told.posted.address))),
        "/manager/reset/",
    )


def _address_changed(told: _Told) -> _Draft:
    return _Draft(
        f"The e-mail address of {told.facts['portfolio']} was changed",
        told.rows(("Portfolio", told.facts["portfolio"])),
    )


def _cloud_turn_off_asked(told: _Told) -> _Draft:
    return _about_number(
        told, f"Somebody wants two-step verification off for {told.facts['number']}"
    )


def _cloud_pin_changed(told: _Told) -> _Draft:
    return _about_number(told, f"The PIN of {told.facts['number']} was changed in WhatsApp Manager")


def _cloud_pin_turned_off(told: _Told) -> _Draft:
    return _about_number(told, f"Two-step verification is off at Meta for {told.facts['number']}")


def _cloud_off_remembered(told: _Told) -> _Draft:
    return _about_number(told, f"Two-step verification of {told.facts['number']} stays on at Meta")


def _cloud_name_approved(told: _Told) -> _Draft:
    return _told_by_meta(told, f"{told.facts['number']} must be registered again for its name")


def _cloud_pin_refused(told: _Told) -> _Draft:
    return _told_by_meta(told, f"Meta refused the kept PIN of {told.facts['number']}")


def _cloud_access_lost(told: _Told) -> _Draft:
    account = f"{told.facts['account']} ({told.facts['waba']})"
    return _Draft(
        f"Meta refuses the access token of {told.facts['account']}",
        told.rows(("Account", account), by=None),
    )


def _about_number(told: _Told, subject: str) -> _Draft:
    return _Draft(subject, told.rows(("Number", told.number)))


def _told_by_meta(told: _Told, subject: str) -> _Draft:
    """About a number; nobody but Meta did it, so nobody is named."""
    return _Draft(subject, told.rows(("Number", told.number), by=None))


_FUNCTIONS: Mapping[Letter, Callable[[_Told], _Draft]] = {
    Letter.TURN_OFF_LINK: _turn_off_link,
    Letter.PIN_SET: _pin_set,
    Letter.PIN_CHANGED: _pin_changed,
    Letter.PIN_TURNED_OFF: _pin_turned_off,
    Letter.FIRST_WRONG_GUESS: _first_wrong_guess,
    Letter.NUMBER_LOCKED: _number_locked,
    Letter.NUMBER_TAKEN_OVER: _number_taken_over,
    Letter.INVITATION: _invitation,
    Letter.PASSWORD_RESET: _password_reset,
    Letter.ADDRESS_CHANGED: _address_changed,
    Letter.CLOUD_TURN_OFF_ASKED: _cloud_turn_off_asked,
    Letter.CLOUD_PIN_CHANGED: _cloud_pin_changed,
    Letter.CLOUD_PIN_TURNED_OFF: _cloud_pin_turned_off,
    Letter.CLOUD_OFF_REMEMBERED: _cloud_off_remembered,
    Letter.CLOUD_NAME_APPROVED: _cloud_name_approved,
    Letter.CLOUD_PIN_REFUSED: _cloud_pin_refused,
    Letter.CLOUD_ACCESS_LOST: _cloud_access_lost,
}


def _one_line(value: object) -> str:
    """Without line breaks and other characters that do not print: they could forge a line."""
    return "".join(c if c.isprintable() else " " for c in str(value))


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at.day} {at.strftime('%B %Y, %H:%M:%S')} UTC"


def _span(life: timedelta) -> str:
    """``30 minutes``, ``7 days``."""
    minutes = round(life.total_seconds() / 60)
    for unit, size in (("day", 24 * 60), ("hour", 60), ("minute", 1)):
        count, rest = divmod(minutes, size)
        if count and not rest:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{minutes} minutes"


def _filled(text: str) -> str:
    """Paragraphs of at most _WIDTH columns; indented lines and links stay whole."""
    paragraphs = _PARAGRAPH.split(_LONG_GAP.sub("\n\n", text).strip("\n"))
    return "\n\n".join(map(_fill, paragraphs)) + "\n"


def _fill(paragraph: str) -> str:
    if paragraph.startswith(("  ", "-- ")):
        return paragraph
    return textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)
