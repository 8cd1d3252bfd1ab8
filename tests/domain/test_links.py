"""Linked accounts: what may be said about them, and what Meta says of their tokens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain import links
from nightlatch.domain.audit import Event, Kind
from nightlatch.domain.errors import ParameterInvalid, TokenUnfit
from nightlatch.domain.links import MANAGES, MESSAGES, LinkDecision
from nightlatch.domain.mail import Letter, To
from tests.domain.samples import HOUR, MICRO, TOKEN, a_link
from tests.people import NOON, OWNER

WABA = "102290129340398"


# Tokens


def test_a_token_without_an_end_for_every_account_is_fit():
    TOKEN.refuse_unfit(WABA, NOON)


@pytest.mark.parametrize(
    "good",
    [
        {"scopes": frozenset({MANAGES})},
        {"accounts": frozenset({WABA, "7"})},
        {"expires_at": NOON + MICRO, "data_ends_at": NOON + HOUR},
    ],
)
def test_a_token_that_may_manage_this_account_now_is_fit(good):
    replace(TOKEN, **good).refuse_unfit(WABA, NOON)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"valid": False}, "does not know it"),
        ({"expires_at": NOON}, "expired"),
        ({"expires_at": NOON + HOUR, "data_ends_at": NOON}, "expired"),
        ({"scopes": frozenset({MESSAGES})}, MANAGES),
        ({"accounts": frozenset({"7"})}, "this account"),
        ({"accounts": frozenset()}, "this account"),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_with_what_it_lacks(bad, why):
    with pytest.raises(TokenUnfit, match=why) as refused:
        replace(TOKEN, **bad).refuse_unfit(WABA, NOON)

    assert why in refused.value.why


def test_what_meta_says_of_a_token_is_kept_with_the_time():
    assert links.told_of_token(a_link(facts=None), TOKEN, NOON) == LinkDecision(
        a_link(facts=TOKEN, facts_at=NOON)
    )


# Reading


@pytest.mark.parametrize("text", [WABA, "12345", "9" * 32])
def test_the_id_of_an_account_is_digits(text):
    assert links.read_account(text) == text


@pytest.mark.parametrize(
    "text", ["", "1234", "01234", "9" * 33, "12345\n", " 12345", "1234a", "١٢٣٤٥", "12345/x"]
)
def test_anything_else_is_no_id_of_an_account(text):
    with pytest.raises(ParameterInvalid) as refused:
        links.read_account(text)

    assert refused.value.name == "waba"


@pytest.mark.parametrize("text", ["v10.0", "v23.0", "v99.0"])
def test_a_version_of_the_graph_api_is_read(text):
    assert links.read_version(text) == text


@pytest.mark.parametrize("text", ["", "23", "v9.0", "v23", "v23.1", "v23.0/", "v23.0\n", "V23.0"])
def test_anything_else_is_no_version(text):
    with pytest.raises(ParameterInvalid):
        links.read_version(text)


@pytest.mark.parametrize(("read", "longest"), [(links.read_token, 1_024), (links.read_secret, 256)])
def test_a_token_or_a_secret_is_one_line_without_spaces_and_is_never_repeated(read, longest):
    assert read("EAA|x-1") == "EAA|x-1"
    assert read("x" * longest) == "x" * longest
    for bad in ("", "canary" * 200 + "x", "can ary", "canary\n", "canary\x00", "canary\u00e9"):
        with pytest.raises(ParameterInvalid) as refused:
            read(bad)
        assert "canary" not in f"{refused.value} {vars(refused.value)}"


def test_a_verify_token_that_is_refused_is_named_as_one():
    with pytest.raises(ParameterInvalid) as refused:
        links.read_secret("", "verify_token")

    assert refused.value.name == "verify_token"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (links.META, links.META),
        ("https://graph.facebook.com/", links.META),
        ("HTTPS://proxy.example:8443/meta/", "HTTPS://proxy.example:8443/meta"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_the_cloud_api_is_at_an_https_address_or_on_loopback(text, read):
    assert links.read_base(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "", "graph.facebook.com", "http://graph.facebook.com", "ftp://127.0.0.1", "https://",
        "http://127.0.0.1.evil.example", "http://localhost.evil.example",
        "https://user@graph.facebook.com", "https://:secret@graph.facebook.com",
        "https://graph.facebook.com?x=1", "https://graph.facebook.com#x",
        "https://graph.facebook.com/a b", "https://graph.facebook.com/\u00e9",
        "https://graph.facebook.com:99999", "https://graph.facebook.com:x", "https://[::1",
        "https://x.example/" + "a" * 2_048,
    ],
)  # fmt: skip
def test_anything_else_is_no_address_of_the_cloud_api(text):
    with pytest.raises(ParameterInvalid) as refused:
        links.read_base(text)

    assert refused.value.name == "base"


@given(st.text(max_size=30))
def test_whatever_is_given_as_an_address_is_read_or_refused(text):
    for given_ in (text, "https://" + text):
        try:
            read = links.read_base(given_)
        except ParameterInvalid:
            continue
        assert links.read_base(read) == read


# What happens to a link


def test_only_the_clients_of_a_link_may_register_its_numbers():
    link = a_link(clients=("eu", "us"))

    assert [link.open_to(name) for name in ("eu", "us", "default")] == [True, True, False]


def test_a_change_is_written_down_with_what_was_changed_and_by_whom():
    fresh = a_link(version="v24.0")

    changed = links.changed(a_link(), fresh, "version", OWNER.email, NOON)

    told = (("waba", WABA), ("what", "version"))
    assert changed == LinkDecision(fresh, (Event(Kind.LINK_CHANGED, OWNER.email, NOON, told),))


def test_the_owners_hear_once_that_meta_refuses_the_token():
    lost = links.lose(a_link(), NOON)
    again = links.lose(lost.link, NOON + HOUR)

    assert lost.link.lost_at == NOON
    assert [event.kind for event in lost.events] == [Kind.ACCESS_LOST]
    (mail,) = lost.mails
    assert (mail.letter, mail.to) == (Letter.CLOUD_ACCESS_LOST, To.OWNERS)
    assert dict(mail.facts)["waba"] == WABA
    assert again == LinkDecision(lost.link)


def test_access_that_comes_back_is_written_down_once_and_may_be_lost_again():
    lost = links.lose(a_link(), NOON).link

    back = links.regain(lost, NOON + HOUR)

    assert back.link == a_link()
    assert [event.kind for event in back.events] == [Kind.ACCESS_BACK]
    assert links.regain(back.link, NOON + HOUR) == LinkDecision(back.link)
    assert links.lose(back.link, NOON + HOUR).mails


def test_nothing_secret_is_told_of_a_link():
    link = a_link(token=b"canary", secret=b"canary", verify_token=b"canary")
    decisions = [
        links.changed(link, link, "token", "x", NOON),
        links.lose(link, NOON),
        links.regain(replace(link, lost_at=NOON), NOON),
    ]

    assert "canary" not in str([(one.events, one.mails) for one in decisions])
