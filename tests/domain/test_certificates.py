"""Certificates: what is signed comes back, and nothing else passes."""

import base64
import hashlib
import hmac
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.certificates import Certificate, read, read_name, to_sign, to_text
from nightlatch.domain.errors import CertificateRefused
from tests.people import E164, NAME

GOOD = Certificate("serial-1", E164, NAME)


def toy_sign(signed: bytes) -> bytes:
    """64 bytes that only we can make; the real key is tried with the use cases."""
    return hmac.digest(b"toy", signed, hashlib.sha512)


def passes(text: str, wanted: Certificate = GOOD) -> bool:
    """The whole check, as a registration makes it."""
    try:
        shown = read(text)
    except CertificateRefused:
        return False
    return shown.signature == toy_sign(shown.signed) and shown.certificate == wanted


def wrap(payload: bytes, *, version: int = 1, length: int | None = None, tail=bytes(64)) -> str:
    head = struct.pack(">BH", version, len(payload) if length is None else length)
    return base64.b64encode(head + payload + tail).decode()


SIGNED = to_sign(GOOD)
TEXT = to_text(SIGNED, toy_sign(SIGNED))
RAW = base64.b64decode(TEXT)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=128)
certificates = st.builds(Certificate, words, words, words)


@given(certificates)
def test_what_was_signed_is_read_back(certificate):
    signed = to_sign(certificate)

    shown = read(to_text(signed, toy_sign(signed)))

    assert shown.certificate == certificate
    assert (shown.signed, shown.signature) == (signed, toy_sign(signed))


def test_a_certificate_is_one_line_of_printable_ascii():
    assert TEXT.isascii()
    assert TEXT.isprintable()


def test_white_space_of_pasting_is_ignored():
    lines = "\r\n".join(TEXT[start : start + 64] for start in range(0, len(TEXT), 64))

    assert passes(f"  {lines}\n")


def with_byte(at: int, flip: int) -> str:
    changed = bytearray(RAW)
    changed[at] ^= flip
    return base64.b64encode(changed).decode()


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_certificate_passes_with_a_changed_byte(flip):
    passed = [at for at in range(len(RAW)) if passes(with_byte(at, flip))]

    assert passes(TEXT)
    assert passed == []


def test_no_certificate_passes_that_is_cut_short():
    passed = [length for length in range(len(TEXT)) if passes(TEXT[:length])]

    assert passed == []


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_a_changed_character_is_refused_or_says_the_very_same_bytes(at, character):
    changed = TEXT[:at] + character + TEXT[at + 1 :]

    if passes(changed):
        shown = read(changed)
        assert shown.signed + shown.signature == RAW


@pytest.mark.parametrize(
    "other",
    [
        Certificate("serial-2", E164, NAME),
        Certificate("serial-1", "+16315551001", NAME),
        Certificate("serial-1", E164, "Lucky  Shrub"),
        Certificate("serial-1", NAME, E164),
    ],
)
def test_a_certificate_passes_for_no_other_number_name_or_serial(other):
    signed = to_sign(other)

    assert passes(to_text(signed, toy_sign(signed)), other)
    assert not passes(to_text(signed, toy_sign(signed)))
    assert not passes(to_text(to_sign(other), toy_sign(SIGNED)), other)


def test_the_longest_name_fits_and_anything_longer_than_a_certificate_is_not_looked_at():
    longest = Certificate("s" * 16, "+123456789012345", "\U0001f33f" * 128)
    signed = to_sign(longest)

    assert passes(to_text(signed, toy_sign(signed)), longest)
    with pytest.raises(CertificateRefused) as refused:
        read("A" * 4_097)
    assert "longer" in refused.value.why


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("not base64!", id="not base64"),
        pytest.param("зашифровано", id="not ASCII"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param(TEXT + "A", id="one character more"),
        pytest.param("====", id="padding only"),
        pytest.param(wrap(b"{}"), id="nothing in it"),
        pytest.param(wrap(b"[]"), id="a list"),
        pytest.param(wrap(b"null"), id="null"),
        pytest.param(wrap(b'"text"'), id="a string"),
        pytest.param(wrap(b"\xff\xfe"), id="not UTF-8"),
        pytest.param(wrap(b"[" * 2_900), id="nested deeper than the stack"),
        pytest.param(wrap(b"9" * 2_900), id="a number without end"),
        pytest.param(wrap(SIGNED[3:], version=2), id="another version"),
        pytest.param(wrap(SIGNED[3:], length=1), id="a length too small"),
        pytest.param(wrap(SIGNED[3:], length=60_000), id="a length too large"),
        pytest.param(wrap(SIGNED[3:], tail=bytes(63)), id="a signature too short"),
        pytest.param(wrap(SIGNED[3:], tail=bytes(65)), id="a signature too long"),
    ],
)
def test_what_is_no_certificate_is_refused_with_a_sentence(text):
    with pytest.raises(CertificateRefused) as refused:
        read(text)

    assert refused.value.why.startswith("it is ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)


@given(
    st.one_of(
        st.text(),
        st.binary().map(lambda raw: base64.b64encode(raw).decode()),
        st.binary().map(wrap),
        json_values.map(lambda value: wrap(json.dumps(value).encode())),
        st.fixed_dictionaries(dict.fromkeys(("serial", "number", "name"), json_values)).map(
            lambda value: wrap(json.dumps(value).encode())
        ),
    )
)
def test_whatever_somebody_pastes_is_refused_as_a_certificate_and_never_as_a_bug(text):
    assert not passes(text)


# The name alone, for an account of the Cloud API


def member(field: int, raw: bytes) -> bytes:
    """A member of a Protocol Buffers message, shorter than 128 bytes."""
    return bytes([field << 3 | 2, len(raw)]) + raw


def by_meta(*members: bytes, around: bytes = b"") -> str:
    """A verified-name certificate as Meta signs them."""
    return base64.b64encode(around + member(1, b"".join(members)) + member(2, bytes(64))).decode()


NAMED = member(4, NAME.encode())
EIGHT, FOUR, COUNT = b"\x09" + bytes(8), b"\x15" + bytes(4), b"\x18\xac\x02"


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        by_meta(NAMED),
        by_meta(EIGHT, FOUR, COUNT, member(2, b"smb:wa"), NAMED, member(4, b"Another")),
        by_meta(NAMED, around=COUNT),
    ],
)
def test_the_name_is_read_from_a_certificate_of_ours_or_of_metas(text):
    assert read_name(text) == NAME
    assert read_name("\n".join(text)) == NAME


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        by_meta(member(4, b"")),
        by_meta(member(4, b"  ")),
        by_meta(member(4, b"Lucky\nShrub")),
        by_meta(member(4, b"\xff")),
        by_meta(member(2, b"smb:wa")),
        by_meta(b"\x0b", NAMED),
        by_meta(b"\x0d" + bytes(2)),
        by_meta(b"\xff" * 11, NAMED),
        base64.b64encode(member(1, NAMED)[:-1]).decode(),
        base64.b64encode(b"\x0a").decode(),
        to_text(to_sign(Certificate("1", E164, "Lucky\nShrub")), bytes(64)),
        wrap(json.dumps({"serial": "1", "number": E164, "name": ["Lucky Shrub"]}).encode()),
        wrap(json.dumps({"serial": "1", "number": E164, "name": 7}).encode()),
    ],
)
def test_where_there_is_no_name_in_one_line_none_is_read(text):
    with pytest.raises(CertificateRefused):
        read_name(text)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda raw: member(1, raw))))
def test_whatever_somebody_sends_has_a_name_in_one_line_or_is_refused(raw):
    try:
        name = read_name(base64.b64encode(raw).decode())
    except CertificateRefused:
        return
    assert name.isprintable()
    assert name.strip()


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes, kind: int = 2) -> bytes:
    """A member of any number, length and kind, also of kinds that there are not."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    length = varint(len(value)) if kind == 2 else b""
    return varint(number << 3 | kind) + length + value


messages = st.lists(
    st.one_of(
        st.builds(field, st.integers(0, 20), st.integers(0, 2**70)),
        st.builds(field, st.integers(1, 6), st.binary(max_size=40), st.integers(0, 7)),
        st.builds(lambda inner: field(1, inner), st.binary(max_size=60)),
        st.binary(max_size=12),
    ),
    max_size=6,
).map(b"".join)


@given(
    st.one_of(
        st.text(),
        st.binary().map(lambda raw: base64.b64encode(raw).decode()),
        messages.map(lambda raw: base64.b64encode(raw).decode()),
        messages.map(lambda raw: base64.b64encode(field(1, raw)).decode()),
        json_values.map(lambda value: wrap(json.dumps(value).encode())),
        st.fixed_dictionaries(dict.fromkeys(("serial", "number", "name"), json_values)).map(
            lambda value: wrap(json.dumps(value).encode())
        ),
    )
)
def test_whatever_members_a_message_has_its_name_can_be_shown_or_it_is_refused(text):
    try:
        name = read_name(text)
    except CertificateRefused:
        return

    assert isinstance(name, str)
    assert name.strip()
    assert name.isprintable()
