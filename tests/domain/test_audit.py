"""The audit trail: every change of a chain is found."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightlatch.domain.audit import GENESIS, Event, Kind, Link, first_break, link
from tests.people import NOON

KEY = b"k" * 32
SUBJECT = "number:1"
HASH_BEFORE = "abf9b5b7bfb2679991299382d0d71aeadd1e8a80badc8fcc5fe8c002e990d8cc"
"""Of one event, as it was when events had no place yet."""


def chain(events: list[Event], subject: str = SUBJECT, key: bytes = KEY) -> list[Link]:
    links, head = [], GENESIS
    for seq, event in enumerate(events, 1):
        links.append(link(key, subject, seq, head, event))
        head = links[-1].hash
    return links


def judged(links: list[Link], like: list[Link]) -> int | None:
    """The first break of *links* when the subject's row still tells of *like*."""
    head = like[-1].hash if like else GENESIS
    return first_break(KEY, links, len(like), head)


details = st.lists(
    st.tuples(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.booleans()), max_size=3
).map(tuple)
events = st.builds(
    Event,
    st.sampled_from(Kind),
    st.text(max_size=20),
    st.timedeltas(timedelta(0), timedelta(days=3_650)).map(lambda after: NOON + after),
    details,
    st.just("") | st.ip_addresses().map(str) | st.text(max_size=8),
)
chains = st.lists(events, min_size=1, max_size=8).map(chain)


@given(st.lists(events, max_size=8))
def test_a_chain_that_nobody_touched_holds(told):
    links = chain(told)

    assert judged(links, links) is None
    assert [one.seq for one in links] == list(range(1, len(told) + 1))


EDITS = {
    "kind": lambda one: replace(
        one, event=replace(one.event, kind=next(k for k in Kind if k != one.event.kind))
    ),
    "who": lambda one: replace(one, event=replace(one.event, by=one.event.by + "x")),
    "when": lambda one: replace(
        one, event=replace(one.event, at=one.event.at + timedelta(microseconds=1))
    ),
    "details": lambda one: replace(
        one, event=replace(one.event, details=(*one.event.details, ("x", 1)))
    ),
    "place": lambda one: replace(one, event=replace(one.event, place=one.event.place + "1")),
    "subject": lambda one: replace(one, subject="number:2"),
    "seq": lambda one: replace(one, seq=one.seq + 1),
    "hash": lambda one: replace(one, hash=bytes([one.hash[0] ^ 1]) + one.hash[1:]),
}


@pytest.mark.parametrize("edit", EDITS)
@settings(max_examples=25)
@given(links=chains, data=st.data())
def test_any_edit_is_found_where_it_was_made(edit, links, data):
    at = data.draw(st.integers(0, len(links) - 1))
    changed = [*links[:at], EDITS[edit](links[at]), *links[at + 1 :]]

    assert judged(changed, links) == at + 1


@pytest.mark.parametrize(
    ("before", "after"), [(True, 1), (1, True), (1, "1"), (False, 0), ("a", "b")]
)
def test_a_detail_that_changes_only_its_type_is_found(before, after):
    links = chain([Event(Kind.CODE_SENT, "by", NOON, (("x", before),))])
    changed = replace(links[0], event=replace(links[0].event, details=(("x", after),)))

    assert judged([changed], links) == 1


@given(links=chains, place=st.text(min_size=1, max_size=8), data=st.data())
def test_a_place_that_is_taken_away_or_put_there_is_found(links, place, data):
    at = data.draw(st.integers(0, len(links) - 1))
    event = links[at].event
    told = replace(event, place="" if event.place else place)
    changed = [*links[:at], replace(links[at], event=told), *links[at + 1 :]]

    assert judged(changed, links) == at + 1


def test_an_event_without_a_place_has_the_hash_it_had_before_there_were_places():
    event = Event(Kind.TWO_STEP_ON, "main/admin", NOON, (("weak", False),))

    first = link(KEY, SUBJECT, 1, GENESIS, event)

    assert first.hash.hex() == HASH_BEFORE
    assert link(KEY, SUBJECT, 1, GENESIS, replace(event, place="127.0.0.1")).hash != first.hash


@given(links=chains, data=st.data())
def test_any_deletion_is_found(links, data):
    at = data.draw(st.integers(0, len(links) - 1))

    assert judged(links[:at] + links[at + 1 :], links) == at + 1


@given(links=chains, data=st.data())
def test_any_truncation_is_found(links, data):
    left = data.draw(st.integers(0, len(links) - 1))

    assert judged(links[:left], links) == left + 1


@given(links=st.lists(events, min_size=2, max_size=8).map(chain), data=st.data())
def test_any_reordering_is_found(links, data):
    order = data.draw(st.permutations(links).filter(lambda mixed: mixed != links))
    first = next(n for n, (a, b) in enumerate(zip(order, links, strict=True), 1) if a != b)

    assert judged(order, links) == first


@given(links=chains, data=st.data())
def test_a_repeated_link_is_found(links, data):
    at = data.draw(st.integers(0, len(links) - 1))

    assert judged([*links[: at + 1], *links[at:]], links) == at + 2


@given(links=chains, event=events)
def test_a_link_that_somebody_without_the_key_appends_is_found(links, event):
    head = links[-1].hash
    forged = link(b"another key", SUBJECT, len(links) + 1, head, event)

    assert judged([*links, forged], links) == len(links) + 1
    assert first_break(KEY, [*links, forged], forged.seq, forged.hash) == len(links) + 1


@given(links=chains, head=st.binary(max_size=40), seq=st.integers(-1, 10))
def test_a_forged_head_is_found(links, head, seq):
    true = (len(links), links[-1].hash)

    assert first_break(KEY, links, true[0], head) == len(links) + 1
    assert (first_break(KEY, links, seq, true[1]) is None) == (seq == true[0])


@given(links=chains)
def test_a_chain_made_with_another_key_does_not_hold_from_its_first_link_on(links):
    other = chain([one.event for one in links], key=b"another key")

    assert judged(other, other) == 1


@given(links=chains)
def test_the_chain_of_another_number_does_not_pass_for_this_one(links):
    other = chain([one.event for one in links], subject="number:2")

    assert judged(other, links) is not None


def test_an_empty_chain_ends_with_the_genesis_and_nothing_else():
    assert first_break(KEY, [], 0, GENESIS) is None
    assert first_break(KEY, [], 1, GENESIS) == 1
    assert first_break(KEY, [], 0, b"x" * 32) == 1
