"""From any spelling of a phone number to the one that is its identity."""

from functools import lru_cache

import phonenumbers

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.numbers import read_e164

_LONGEST = 40
_CC = "a country calling code: digits only, such as `49`"
_NUMBER = "a possible phone number of that country code"


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
