"""Linked accounts and their numbers as rows, and back."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nightlatch.adapters.sql.rows import (
    Row,
    maybe_micros,
    maybe_moment,
    micros,
    moment,
    pack_paid,
    unpack_paid,
)
from nightlatch.domain.guesses import Guesses
from nightlatch.domain.ledger import Act, Ledger
from nightlatch.domain.linked import (
    Alert,
    Facts,
    Health,
    HealthError,
    LinkedNumber,
    UnderWay,
    Waiting,
)
from nightlatch.domain.links import CloudLink, TokenFacts
from nightlatch.domain.vault import KeptPin, Vault

LINK_COLUMNS: Final = (
    "waba", "portfolio", "name", "token", "secret", "verify_token", "base", "version", "clients",
    "set_again", "linked_at", "facts", "facts_at", "subscribed", "lost_at", "read_at", "cursor",
)  # fmt: skip
LINKED_COLUMNS: Final = (
    "id", "e164", "cc", "waba", "found_at", "facts", "holder", "registered_at", "waiting_client",
    "waiting_at", "waiting_sealed", "pin_confirmed_at", "pin_doubted", "ledger", "guess_ticket",
    "guess_run", "guess_forgiven", "guess_paid", "guess_since", "guess_locked", "guess_warned",
    "under_way_act", "under_way_key", "under_way_at", "under_way_by", "under_way_client",
    "under_way_registered", "under_way_pin_on", "under_way_pin_key", "under_way_unknown",
    "off_asked_at", "name_asked", "name_approved_at", "set_again", "alerts", "looks", "due_at",
)  # fmt: skip
VAULT_COLUMNS: Final = ("place", "key", "sealed", "at")
_NO_LEDGER: Final = Ledger()


def link_to_row(link: CloudLink) -> Row:
    """In the order of LINK_COLUMNS."""
    return (
        link.waba, link.portfolio, link.name, link.token, link.secret, link.verify_token,
        link.base, link.version, json.dumps(link.clients), int(link.set_again),
        micros(link.linked_at), None if link.facts is None else _token_to_text(link.facts),
        maybe_micros(link.facts_at), _flag(link.subscribed), maybe_micros(link.lost_at),
        maybe_micros(link.read_at), link.cursor,
    )  # fmt: skip


def link_from_row(row: Row) -> CloudLink:
    """From the columns of LINK_COLUMNS."""
    (
        waba, portfolio, name, token, secret, verify_token, base, version, clients, set_again,
        linked_at, facts, facts_at, subscribed, lost_at, read_at, cursor,
    ) = row  # fmt: skip
    return CloudLink(
        waba=waba,
        portfolio=portfolio,
        name=name,
        token=token,
        secret=secret,
        verify_token=verify_token,
        base=base,
        version=version,
        clients=tuple(json.loads(clients)),
        set_again=bool(set_again),
        linked_at=moment(linked_at),
        facts=None if facts is None else _token_from_text(facts),
        facts_at=maybe_moment(facts_at),
        subscribed=_maybe(subscribed),
        lost_at=maybe_moment(lost_at),
        read_at=maybe_moment(read_at),
        cursor=cursor,
    )


def _token_to_text(facts: TokenFacts) -> str:
    return _text(
        [
            facts.valid, sorted(facts.scopes), facts.app, facts.kind,
            maybe_micros(facts.expires_at), maybe_micros(facts.data_ends_at),
            None if facts.accounts is None else sorted(facts.accounts),
        ]
    )  # fmt: skip


def _token_from_text(text: str) -> TokenFacts:
    valid, scopes, app, kind, expires_at, data_ends_at, accounts = json.loads(text)
    return TokenFacts(
        valid=valid,
        scopes=frozenset(scopes),
        app=app,
        kind=kind,
        expires_at=maybe_moment(expires_at),
        data_ends_at=maybe_moment(data_ends_at),
        accounts=None if accounts is None else frozenset(accounts),
    )


def linked_to_row(number: LinkedNumber) -> Row:
    """In the order of LINKED_COLUMNS; the PINs are rows of their own."""
    waiting, under_way, guesses = number.waiting, number.under_way, number.guesses
    return (
        number.id,
        number.e164,
        number.cc,
        number.waba,
        micros(number.found_at),
        _facts_to_text(number.facts),
        number.holder,
        maybe_micros(number.registered_at),
        *((None,) * 3 if waiting is None else (waiting.client, micros(waiting.at), waiting.sealed)),
        maybe_micros(number.vault.confirmed_at),
        int(number.vault.doubted),
        _ledger_to_text(number.ledger),
        guesses.ticket,
        guesses.run,
        guesses.forgiven,
        pack_paid(guesses.paid),
        maybe_micros(guesses.since),
        int(guesses.locked),
        int(guesses.warned),
        *((None,) * 9 if under_way is None else _under_way_to_row(under_way)),
        maybe_micros(number.off_asked_at),
        number.name_asked,
        maybe_micros(number.name_approved_at),
        int(number.set_again),
        _alerts_to_text(number.alerts),
        number.looks,
        maybe_micros(number.due_at),
    )


def linked_from_row(row: Row, pins: Sequence[Row]) -> LinkedNumber:
    """From the columns of LINKED_COLUMNS, and its PINs by place, each from VAULT_COLUMNS."""
    (
        id_, e164, cc, waba, found_at, facts, holder, registered_at, waiting_client, waiting_at,
        waiting_sealed, confirmed_at, doubted, ledger, ticket, run, forgiven, paid, since, locked,
        warned, *under_way, off_asked_at, name_asked, name_approved_at, set_again, alerts, looks,
        due_at,
    ) = row  # fmt: skip
    waiting = None
    if waiting_client is not None:
        waiting = Waiting(waiting_client, moment(waiting_at), waiting_sealed)
    return LinkedNumber(
        id=id_,
        e164=e164,
        cc=cc,
        waba=waba,
        found_at=moment(found_at),
        facts=_facts_from_text(facts),
        holder=holder,
        registered_at=maybe_moment(registered_at),
        waiting=waiting,
        vault=_vault(pins, maybe_moment(confirmed_at), doubted=bool(doubted)),
        ledger=_ledger_from_text(ledger),
        guesses=Guesses(
            ticket, run, forgiven, unpack_paid(paid), maybe_moment(since), bool(locked),
            bool(warned),
        ),
        under_way=None if under_way[0] is None else _under_way_from_row(under_way),
        off_asked_at=maybe_moment(off_asked_at),
        name_asked=name_asked,
        name_approved_at=maybe_moment(name_approved_at),
        set_again=bool(set_again),
        alerts=_alerts_from_text(alerts),
        looks=looks,
        due_at=maybe_moment(due_at),
    )  # fmt: skip


def vault_to_rows(vault: Vault) -> dict[int, Row]:
    """By place, each in the order of VAULT_COLUMNS."""
    pins = dict(enumerate(vault.maybe, 1))
    if vault.current is not None:
        pins[0] = vault.current
    return {place: (place, pin.key, pin.sealed, micros(pin.at)) for place, pin in pins.items()}


def _vault(pins: Sequence[Row], confirmed_at: datetime | None, *, doubted: bool) -> Vault:
    kept = [(place, KeptPin(key, sealed, moment(at))) for place, key, sealed, at in pins]
    return Vault(
        current=next((pin for place, pin in kept if place == 0), None),
        maybe=tuple(pin for place, pin in kept if place > 0),
        confirmed_at=confirmed_at,
        doubted=doubted,
    )


def _under_way_to_row(under_way: UnderWay) -> Row:
    return (
        under_way.act.value, under_way.key, micros(under_way.at), under_way.by, under_way.client,
        _flag(under_way.was_registered), _flag(under_way.was_pin_on), under_way.pin_key,
        int(under_way.unknown),
    )  # fmt: skip


def _under_way_from_row(row: Sequence[Any]) -> UnderWay:
    act, key, at, by, client, registered, pin_on, pin_key, unknown = row
    return UnderWay(
        Act(act), key, moment(at), by, client, _maybe(registered), _maybe(pin_on), pin_key,
        bool(unknown),
    )  # fmt: skip


def _facts_to_text(facts: Facts) -> str:
    return _text(
        [
            micros(facts.at), facts.name, facts.name_state, facts.new_name, facts.new_name_state,
            facts.code_state, facts.pin_on, facts.status, facts.platform, facts.on_app,
            facts.mode, facts.quality, facts.webhook,
            [
                [
                    one.entity, one.id, one.can_send,
                    [[error.code, error.description, error.solution] for error in one.errors],
                ]
                for one in facts.health
            ],
        ]
    )  # fmt: skip


def _facts_from_text(text: str) -> Facts:
    (
        at, name, name_state, new_name, new_name_state, code_state, pin_on, status, platform,
        on_app, mode, quality, webhook, health,
    ) = json.loads(text)  # fmt: skip
    return Facts(
        at=moment(at),
        name=name,
        name_state=name_state,
        new_name=new_name,
        new_name_state=new_name_state,
        code_state=code_state,
        pin_on=pin_on,
        status=status,
        platform=platform,
        on_app=on_app,
        mode=mode,
        quality=quality,
        webhook=webhook,
        health=tuple(
            Health(entity, id_, can_send, tuple(HealthError(*error) for error in errors))
            for entity, id_, can_send, errors in health
        ),
    )


def _ledger_to_text(ledger: Ledger) -> str:
    if ledger == _NO_LEDGER:
        return ""
    return _text([[(act.value, micros(at)) for act, at in one] for one in _halves(ledger)])


def _halves(ledger: Ledger) -> tuple[tuple[tuple[Act, datetime], ...], ...]:
    return ledger.used, ledger.closed


def _ledger_from_text(text: str) -> Ledger:
    if not text:
        return _NO_LEDGER
    used, closed = (tuple((Act(act), moment(at)) for act, at in one) for one in json.loads(text))
    return Ledger(used, closed)


def _alerts_to_text(alerts: tuple[Alert, ...]) -> str:
    return _text([(a.event, micros(a.at), a.by) for a in alerts]) if alerts else ""


def _alerts_from_text(text: str) -> tuple[Alert, ...]:
    return tuple(Alert(event, moment(at), by) for event, at, by in json.loads(text or "[]"))


def _text(value: list[Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _maybe(value: int | None) -> bool | None:
    return None if value is None else bool(value)
