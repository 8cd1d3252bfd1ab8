"""Secrets that a command needs. They are no arguments, which everybody on the machine could see."""

import os
import sys

import click

from nightlatch.domain.two_step import read_pin

_TOKEN, _SECRET, _PIN = "NIGHTLATCH_CLOUD_TOKEN", "NIGHTLATCH_CLOUD_SECRET", "NIGHTLATCH_PIN"


def token_and_secret() -> tuple[str, str | None]:
    """An access token, and the app secret if there is one.

    Standard input may bring the secret on the line after the token.
    """
    if not os.environ.get(_TOKEN) and not sys.stdin.isatty():
        return _line(), os.environ.get(_SECRET) or _line() or None
    found = token()
    given = os.environ.get(_SECRET)
    if not given and sys.stdin.isatty():
        asked = "App secret (nothing when there is none)"
        given = click.prompt(asked, hide_input=True, default="", show_default=False, err=True)
    return found, given or None


def token() -> str:
    """An access token, from the environment, the terminal or standard input."""
    return _asked(_TOKEN, "Access token")


def secret() -> str:
    """An app secret, in the same way."""
    return _asked(_SECRET, "App secret")


def pin(*, again: bool = False) -> str:
    """A PIN, in the same way; with *again* it is typed twice.

    Raises:
        ParameterInvalid: it is none.
    """
    return read_pin(_asked(_PIN, "PIN", again=again))


def pin_if_given(*, ask: bool) -> str | None:
    """A PIN from the environment or, with *ask*, in the other ways. Raises ParameterInvalid."""
    return pin() if ask or os.environ.get(_PIN) else None


def _asked(variable: str, title: str, *, again: bool = False) -> str:
    given = os.environ.get(variable)
    if given:
        return given
    if not sys.stdin.isatty():
        return _line()
    return str(click.prompt(title, hide_input=True, confirmation_prompt=again, err=True))


def _line() -> str:
    return sys.stdin.readline().rstrip("\r\n")
