"""From any spelling of a phone number or an e-mail address to the one that is its identity."""

from functools import lru_cache

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.numbers import read_e164

_LONGEST = 40
_CC = "a country calling code: digits only, such as `49`"
_NUMBER = "a possible phone number of that country code"
_EMAIL = "an e-mail address like name@example.com"

for _name in ("local", "test"):  # many a mail server inside a house bears such a name
    SPECIAL_USE_DOMAIN_NAMES.remove(_name)


@lru_cache(maxsize=4_096)
def spell(cc: str, phone_number: str) -> tuple[str, str]:
    """E.164 and country calling code of a number that was split and spelled in any way.

    Any possible number is taken, also one that nobody was ever given.

    Raises:
        ParameterInvalid: ``cc`` or ``phone_number`` cannot be one.
    """
    if not 0 < len(cc) <= _LONGEST or len(phone_number) > _LONGEST:
        raise ParameterInvalid("cc" if not 0 < len(cc) <= _LONGEST else "phone_number", _NUMBER)
    country = _digits(cc)
    if phone_number.lstrip().startswith(("+", "\uff0b")):
        found = _parse(phone_number)
        if not _e164(found).startswith("+" + country):
            raise ParameterInvalid("phone_number", _NUMBER)
    else:
        found = _parse(f"+{country}{phone_number}")
    return _e164(found), str(found.country_code)


def spell_whole(number: str) -> tuple[str, str]:
    """As ``spell``, for a number in one piece; a missing ``+`` is added."""
    if len(number) > _LONGEST:
        raise ParameterInvalid("phone_number", _NUMBER)
    found = _parse(number if number.lstrip().startswith("+") else f"+{number}")
    return _e164(found), str(found.country_code)


def spell_email(text: str) -> str:
    """The address in lower case, its domain in ASCII. Nobody is asked whether it exists.

    Raises:
        ParameterInvalid: no mail server would take it.
    """
    try:
        found = validate_email(
            text, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False
        )
    except EmailNotValidError as error:
        raise ParameterInvalid("email", _EMAIL) from error
    return (found.ascii_email or found.normalized).lower()


def _digits(cc: str) -> str:
    digits = phonenumbers.normalize_digits_only(cc.strip().removeprefix("+"))
    if not digits or len(digits) != len(cc.strip().removeprefix("+")) or digits[0] == "0":
        raise ParameterInvalid("cc", _CC)
    return str(digits)


def _parse(text: str) -> phonenumbers.PhoneNumber:
    try:
        found = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise ParameterInvalid("phone_number", _NUMBER) from error
    if found.extension or not phonenumbers.is_possible_number(found):
        raise ParameterInvalid("phone_number", _NUMBER)
    return found


def _e164(number: phonenumbers.PhoneNumber) -> str:
    return read_e164(str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)))
