"""What Graph's answers mean: pure reading, and whatever an answer holds, it is refused or read.

Meta's titles and its texts for people are in the language of the token's owner,
so reasons are read from codes; from words only where one code stands for several.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nightlatch.adapters.cloudapi import waits
from nightlatch.adapters.cloudapi.calls import Usage
from nightlatch.domain.linked import Facts, Health, HealthError, MetaRefusal, Reason
from nightlatch.domain.links import MANAGES, TokenFacts
from nightlatch.ports import CloudNoAnswer, CloudRefusal, FoundNumber, FoundPage

CERTAIN: Final = (
    "id", "display_phone_number", "verified_name", "quality_rating", "name_status",
    "code_verification_status",
)  # fmt: skip
"""What every version of Graph shows of a number."""
DOUBTFUL: Final = (
    "new_display_name", "new_name_status", "is_pin_enabled", "status", "platform_type",
    "is_on_biz_app", "account_mode", "webhook_configuration", "health_status",
)  # fmt: skip
"""What Meta's documents disagree about."""

_UNSURE: Final = frozenset({1, 2, 131000, 131016, 131057, 133004})
"""Codes that do not say whether anything was done."""
_SURE: Final = frozenset({3, 131031, 133000})
"""Codes that do, whatever the status. Source: Meta, Cloud API error codes."""
_REASONS: Final = {
    133005: Reason.WRONG_PIN,
    133008: Reason.TOO_MANY,
    133009: Reason.TOO_FAST,
    133006: Reason.CODE_NEEDED,
    133010: Reason.NOT_REGISTERED,
    133015: Reason.JUST_DELETED,
    133016: Reason.SPENT,
    131031: Reason.LOCKED,
    133000: Reason.INCOMPLETE,
    136024: Reason.CODE_UNSENT,
    136025: Reason.CODE_WRONG,
    131037: Reason.NAME,
    33: Reason.GONE,
    803: Reason.GONE,
    **dict.fromkeys((0, 102, 104, 190, 467), Reason.TOKEN),
    **dict.fromkeys((3, 10, 131005, *range(200, 300)), Reason.PERMISSION),
    **dict.fromkeys((4, 17, 32, 613, 80007, 130429), Reason.CALLS),
}
_INVALID: Final = 100
_INVALID_REASONS: Final = {
    33: Reason.GONE,
    133010: Reason.NOT_REGISTERED,
    2388001: Reason.NAME,
}
_CODE_RATE: Final = 2388367
_NAME_OR_HELD: Final = 2388001
_ON_APP: Final = ("not available for smb",)
_HELD: Final = ("existing whatsapp account", "disconnect it", "two-step", "two step")
_PROOF: Final = "appsecret_proof"
_NO_FIELD: Final = re.compile(r"nonexisting field \(([a-z_]{1,64})\)", re.ASCII)

_LARGEST: Final = 10**9
_ID: Final = re.compile(r"[0-9]{1,32}", re.ASCII)
_WORD: Final = 64
_NAME: Final = 256
_WORDS: Final = 1_000
_CURSOR: Final = 2_048
_URL: Final = 2_048
_ENTITIES: Final = 20
_SCOPES: Final = 1_000


class FieldRefused(CloudRefusal):
    """Graph says that numbers have no such field; empty when it does not name it."""

    def __init__(self, answer: MetaRefusal, field: str) -> None:
        super().__init__(answer)
        self.field = field


# The whole answer


def read_json(body: bytes) -> Any:
    """The answer's JSON. Raises CloudNoAnswer when it is none, or says something twice."""
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        pass  # raised below, so that this one, which holds the answer, goes nowhere
    raise CloudNoAnswer


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_number(_: str) -> Any:
    raise ValueError


def read(status: int, body: bytes, usage: Usage) -> Mapping[str, Any]:
    """The object that was answered.

    Raises:
        CloudRefusal: it is an error of Graph's that says that nothing was done.
        CloudNoAnswer: it is anything else.
    """
    answer = read_json(body)
    if not isinstance(answer, dict):
        raise CloudNoAnswer
    if "error" in answer:
        raise _refusal(status, answer["error"], usage) or CloudNoAnswer
    if status != 200:
        raise CloudNoAnswer
    return answer


def done(answer: Mapping[str, Any]) -> None:
    """Raise CloudNoAnswer unless Meta says that it did it."""
    if answer.get("success") is not True:
        raise CloudNoAnswer


def created(answer: Mapping[str, Any]) -> str:
    """The id of what was made. Raises CloudNoAnswer."""
    return _id(answer.get("id"))


# Refusals


def _refusal(status: int, error: Any, usage: Usage) -> CloudRefusal | None:
    """None when it does not say whether anything was done."""
    if not isinstance(error, dict):
        return None
    code = _whole(error.get("code"))
    if code is None or code in _UNSURE or not (400 <= status < 500 or code in _SURE):
        return None
    subcode, said = _whole(error.get("error_subcode")), _said(error).lower()
    reason = _reason(code, subcode, said)
    wait = _wait(error)
    if reason is Reason.CALLS:
        wait = usage.regained or usage.retry_after or wait
    refusal = MetaRefusal(reason, code, subcode, wait)
    if code == _INVALID and reason is Reason.OTHER and "field" in said:
        named = _NO_FIELD.search(said)
        return FieldRefused(refusal, "" if named is None else named[1])
    return CloudRefusal(refusal)


def _reason(code: int, subcode: int | None, said: str) -> Reason:
    if code in (_INVALID, 136025) and any(words in said for words in _ON_APP):
        return Reason.ON_APP
    if code == _INVALID:
        if _PROOF in said:
            return Reason.PERMISSION
        if subcode == _NAME_OR_HELD and any(words in said for words in _HELD):
            return Reason.ELSEWHERE
        return _INVALID_REASONS.get(subcode or 0, Reason.OTHER)
    if code == 136024 and subcode == _CODE_RATE:
        return Reason.CODE_RATE
    return _REASONS.get(code, Reason.OTHER)


def _said(error: Mapping[str, Any]) -> str:
    """Everything that an error says in words, its title apart."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else data
    parts = (details, error.get("error_user_msg"), error.get("message"))
    return "\n".join(part[:_WORDS] for part in parts if isinstance(part, str))


def _wait(error: Mapping[str, Any]) -> timedelta | None:
    data = error.get("error_data")
    fields = data if isinstance(data, dict) else {}
    found = (
        waits.in_words(_said(error)),
        *(waits.seconds(fields.get(name)) for name in ("wait_time", "retry_after")),
    )
    return max((one for one in found if one is not None), default=None)


def read_usage(headers: Mapping[str, str]) -> Usage:
    """What the answer's headers say of the account's calls."""
    percent, regained = _business_use(headers.get("X-Business-Use-Case-Usage", ""))
    return Usage(percent, regained, waits.seconds(headers.get("Retry-After")))


def _business_use(text: str) -> tuple[float | None, timedelta | None]:
    if not text:
        return None, None
    try:
        found = read_json(text.encode("utf-8", "replace"))
    except CloudNoAnswer:
        return None, None
    entries = [
        one
        for group in (found.values() if isinstance(found, dict) else ())
        for one in _list(group)
        if isinstance(one, dict)
    ]
    names = ("call_count", "total_cputime", "total_time")
    percents = [_percent(one.get(name)) for one in entries for name in names]
    waited = [waits.minutes(one.get("estimated_time_to_regain_access")) for one in entries]
    return (
        max((one for one in percents if one is not None), default=None),
        max((one for one in waited if one is not None), default=None),
    )


def _percent(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LARGEST else None


# Numbers


def read_number(answer: Mapping[str, Any], at: datetime) -> FoundNumber:
    """Raises CloudNoAnswer when it has no id."""
    return FoundNumber(
        _id(answer.get("id")), _text(answer.get("display_phone_number"), _WORD), _facts(answer, at)
    )


def read_page(answer: Mapping[str, Any], at: datetime, after: str, limit: int) -> FoundPage:
    """Raises CloudNoAnswer when it is no list. What is not a number is left out."""
    data = answer.get("data")
    if not isinstance(data, list):
        raise CloudNoAnswer
    numbers = []
    for one in data:
        try:
            numbers.append(read_number(_object(one), at))
        except CloudNoAnswer:
            continue
    return FoundPage(numbers, _next(answer, after, more=len(data) >= limit))


def _next(answer: Mapping[str, Any], after: str, *, more: bool) -> str:
    """Where the list goes on. Graph shows a cursor also at the end; ``next`` only where there is
    more, and not every server that speaks Graph shows that."""
    paging = _object(answer.get("paging"))
    cursor = _object(paging.get("cursors")).get("after")
    if not isinstance(cursor, str) or not 0 < len(cursor) <= _CURSOR or cursor == after:
        return ""
    return cursor if more or isinstance(paging.get("next"), str) else ""


def _facts(answer: Mapping[str, Any], at: datetime) -> Facts:
    def word(name: str) -> str:
        return _text(answer.get(name), _WORD)

    return Facts(
        at=at,
        name=_text(answer.get("verified_name"), _NAME),
        name_state=word("name_status"),
        new_name=_text(answer.get("new_display_name"), _NAME),
        new_name_state=word("new_name_status"),
        code_state=word("code_verification_status"),
        pin_on=_flag(answer.get("is_pin_enabled")),
        status=word("status"),
        platform=word("platform_type"),
        on_app=_flag(answer.get("is_on_biz_app")) is True,
        mode=word("account_mode"),
        quality=word("quality_rating"),
        webhook=_override(_object(answer.get("webhook_configuration"))),
        health=_health(_object(answer.get("health_status"))),
    )


def _override(where: Mapping[str, Any]) -> str:
    """The number's own address before the account's; none when it is the app's."""
    for name in ("phone_number", "whatsapp_business_account"):
        url = _text(where.get(name), _URL)
        if url and url != where.get("application"):
            return url
    return ""


def _health(answer: Mapping[str, Any]) -> tuple[Health, ...]:
    return tuple(
        Health(
            _text(one.get("entity_type"), _WORD),
            _text(one.get("id"), _WORD),
            _text(one.get("can_send_message"), _WORD),
            tuple(_health_error(_object(e)) for e in _list(one.get("errors"))[:_ENTITIES]),
        )
        for one in map(_object, _list(answer.get("entities"))[:_ENTITIES])
        if one
    )


def _health_error(answer: Mapping[str, Any]) -> HealthError:
    return HealthError(
        _whole(answer.get("error_code")) or 0,
        _text(answer.get("error_description"), _WORDS),
        _text(answer.get("possible_solution"), _WORDS),
    )


# Tokens, accounts, apps


def read_token(answer: Mapping[str, Any]) -> TokenFacts:
    """What ``debug_token`` says. Raises CloudNoAnswer when it does not say whether it is valid."""
    data = _object(answer.get("data"))
    valid = _flag(data.get("is_valid"))
    if valid is None:
        raise CloudNoAnswer
    facts = TokenFacts(
        valid=valid,
        scopes=frozenset(
            scope for scope in _list(data.get("scopes"))[:_SCOPES] if isinstance(scope, str)
        ),
        app=_id_or_none(data.get("app_id")) or "",
        kind=_text(data.get("type"), _WORD),
        expires_at=_moment(data.get("expires_at")),
        data_ends_at=_moment(data.get("data_access_expires_at")),
    )
    for one in map(_object, _list(data.get("granular_scopes"))):
        targets = one.get("target_ids")
        if one.get("scope") == MANAGES and isinstance(targets, list):
            given = frozenset(id for id in map(_id_or_none, targets) if id is not None)
            facts = replace(facts, accounts=given)
    return facts


def read_name(answer: Mapping[str, Any]) -> str:
    """The name of an account; empty when it has none. Raises CloudNoAnswer when it is no object
    of Graph's."""
    _id(answer.get("id"))
    return _text(answer.get("name"), _NAME)


def read_apps(answer: Mapping[str, Any]) -> frozenset[str]:
    """The ids of the apps that get an account's webhooks. Raises CloudNoAnswer."""
    data = answer.get("data")
    if not isinstance(data, list):
        raise CloudNoAnswer
    apps = (_object(_object(one).get("whatsapp_business_api_data")) for one in data)
    return frozenset(id for app in apps if (id := _id_or_none(app.get("id"))) is not None)


# Values


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: Any, most: int) -> str:
    """A string that can be stored and shown; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return "".join(sign for sign in value[:most] if sign.isprintable()).strip()


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))


def _whole(value: Any) -> int | None:
    """A number like a code, also as a string."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
        return None
    return value


def _moment(value: Any) -> datetime | None:
    """Seconds since 1970; None for 0, which is never."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**11:
        return None
    return datetime.fromtimestamp(value, UTC)


def _id_or_none(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**32:
        value = str(value)
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def _id(value: Any) -> str:
    found = _id_or_none(value)
    if found is None:
        raise CloudNoAnswer
    return found
