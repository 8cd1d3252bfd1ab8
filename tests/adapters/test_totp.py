"""Codes of authenticator apps, against the table of the standard."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from nightlatch.adapters.totp import AuthenticatorCodes
from tests.people import NOON, OWNER

KEY = b"12345678901234567890"
STEP = timedelta(seconds=30)

# RFC 6238, appendix B, SHA-1; its codes have eight digits, of which an app shows the last six.
VECTORS = [
    (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"),
    (1234567890, "89005924"), (2000000000, "69279037"), (20000000000, "65353130"),
]  # fmt: skip


@pytest.fixture
def codes() -> AuthenticatorCodes:
    return AuthenticatorCodes()


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(("seconds", "code"), VECTORS)
def test_the_standards_codes_fit_at_their_time(codes: AuthenticatorCodes, seconds: int, code: str):
    assert codes.step_of(KEY, code[-6:], at(seconds)) == seconds // 30


@pytest.mark.parametrize(("seconds", "code"), VECTORS[1:])
@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_off_and_no_more(
    codes: AuthenticatorCodes, seconds: int, code: str, steps: int, fits: bool
):
    found = codes.step_of(KEY, code[-6:], at(seconds) + steps * STEP)

    assert found == (seconds // 30 if fits else None)


def test_a_code_belongs_to_its_step_from_the_first_to_the_last_moment(codes: AuthenticatorCodes):
    start = datetime.fromtimestamp(1111111110, UTC)  # a multiple of 30
    last = start + STEP - timedelta(microseconds=1)

    assert codes.step_of(KEY, "050471", start) == codes.step_of(KEY, "050471", last) == 37037037


@pytest.mark.parametrize(
    "code",
    ["", "14050471", "50471", "050472", " 050471", "050471\n", "٠٥٠٤٧١", "０５０４７１",  # noqa: RUF001 - digits that are none of ours
     "abcdef", "\ud800", "0" * 10_000],
)  # fmt: skip
def test_what_is_not_the_code_fits_nowhere(codes: AuthenticatorCodes, code: str):
    assert codes.step_of(KEY, code, at(1111111111)) is None


def test_another_key_has_other_codes(codes: AuthenticatorCodes):
    assert codes.step_of(KEY[::-1], "050471", at(1111111111)) is None


def test_the_address_tells_an_app_all_it_needs(codes: AuthenticatorCodes):
    account = "olivia+nightlatch@luckyshrub.example"

    address = urlsplit(codes.address(KEY, account))

    asked = {name: value for name, (value,) in parse_qs(address.query).items()}
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert unquote(address.path) == f"/Nightlatch:{account}"
    assert base64.b32decode(asked["secret"]) == KEY
    assert asked["issuer"] == "Nightlatch"
    assert (asked["digits"], asked["period"], asked["algorithm"]) == ("6", "30", "SHA1")


def test_an_app_that_reads_the_address_makes_codes_that_fit(codes: AuthenticatorCodes):
    import hashlib
    import hmac

    query = parse_qs(urlsplit(codes.address(KEY, OWNER.email)).query)
    key = base64.b32decode(query["secret"][0])
    step = int(NOON.timestamp()) // 30

    digest = hmac.digest(key, step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF

    assert codes.step_of(KEY, f"{number % 1_000_000:06d}", NOON) == step
