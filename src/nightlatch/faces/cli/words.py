"""Refusals in words for the person at the command line."""

from nightlatch.domain import errors as e
from nightlatch.domain.errors import Refusal


def of(refusal: Refusal) -> str:
    """One sentence that says what is wrong and what to do."""
    match refusal:
        case e.NumberUnknown():
            return "The registry does not know this number; see: nightlatch numbers list"
        case e.NumberExists():
            return "The registry has this number already, perhaps in another spelling."
        case e.ClientExists():
            return "There is a client of this name already; see: nightlatch clients list"
        case e.ClientUnknown() | e.UserUnknown():
            return "There is no such client or user; see: nightlatch clients list"
        case e.ParameterInvalid():
            return f"{refusal.name} must be {refusal.why}."
        case e.Unavailable():
            return "The store or the key ring does not answer; see: nightlatch check"
        case _:
            return f"Refused: {type(refusal).__name__}"
