"""The business profile: what it may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.errors import ParameterInvalid
from nightlatch.domain.profiles import VERTICALS, Profile, change

WHOLE = Profile(
    "We sell shrubs",
    "1 Hacker Way",
    "Shrubs\nof all kinds",
    "post@luckyshrub.example",
    ("https://luckyshrub.example",),
    "RETAIL",
)


def test_what_is_given_takes_the_place_of_what_was_and_the_rest_stays():
    profile = change(WHOLE, about="Bushes, too", websites=())

    assert profile == Profile(
        "Bushes, too", WHOLE.address, WHOLE.description, WHOLE.email, (), WHOLE.vertical
    )


def test_nothing_given_changes_nothing():
    assert change(WHOLE) is not None
    assert change(WHOLE) == WHOLE


@pytest.mark.parametrize(
    ("name", "longest"),
    [("about", 139), ("address", 256), ("description", 512)],
)
def test_a_text_has_its_longest(name, longest):
    longest_text = "ü" * longest

    assert getattr(change(WHOLE, **{name: longest_text}), name) == longest_text
    with pytest.raises(ParameterInvalid) as refused:
        change(WHOLE, **{name: longest_text + "x"})
    assert refused.value.name == name
    assert str(longest) in refused.value.why


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_about_is_never_empty_once_it_is_given(text):
    with pytest.raises(ParameterInvalid) as refused:
        change(WHOLE, about=text)

    assert (refused.value.name, refused.value.why) == ("about", "1 to 139 characters")


@pytest.mark.parametrize("name", ["address", "description", "email"])
def test_every_other_text_may_be_emptied(name):
    assert getattr(change(WHOLE, **{name: ""}), name) == ""


@pytest.mark.parametrize("name", ["about", "address", "description"])
def test_texts_may_hold_lines_and_characters_made_of_several(name):
    text = "Shrubs\r\n\tof 👩\u200d🌾 & Co."

    assert getattr(change(WHOLE, **{name: text}), name) == text


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x7f", "\x85", "\ud800"])
@pytest.mark.parametrize("name", ["about", "address", "description", "email"])
def test_a_text_holds_nothing_that_cannot_be_written(name, bad):
    with pytest.raises(ParameterInvalid) as refused:
        change(WHOLE, **{name: f"a@{bad}b"})

    assert refused.value.name == name


@pytest.mark.parametrize("email", ["post", "a@b\nc", "x" * 120 + "@b.example"])
def test_an_email_is_one(email):
    with pytest.raises(ParameterInvalid) as refused:
        change(WHOLE, email=email)

    assert refused.value.name == "email"


@pytest.mark.parametrize(
    "websites",
    [
        (),
        ("http://a.example",),
        ("https://a.example", "https://b.example"),
        ("https://" + "x" * 248,),
    ],
)
def test_two_websites_at_most(websites):
    assert change(WHOLE, websites=websites).websites == websites


@pytest.mark.parametrize(
    "websites",
    [
        ("https://a.example",) * 3,
        ("a.example",),
        ("ftp://a.example",),
        ("https://a.example", ""),
        ("javascript:alert(1)",),
        ("https://" + "x" * 249,),
        ("https://a.example\nX: y",),
        ("https://a.example/\ud800",),
    ],
)
def test_other_websites_are_refused(websites):
    with pytest.raises(ParameterInvalid) as refused:
        change(WHOLE, websites=websites)

    assert refused.value.name == "websites"


@pytest.mark.parametrize("vertical", VERTICALS)
def test_a_vertical_is_a_documented_one(vertical):
    assert change(WHOLE, vertical=vertical).vertical == vertical


@pytest.mark.parametrize("vertical", ["", "retail", "SHRUBS", "RETAIL "])
def test_another_vertical_is_refused(vertical):
    with pytest.raises(ParameterInvalid) as refused:
        change(WHOLE, vertical=vertical)

    assert refused.value.name == "vertical"


def test_one_bad_thing_changes_nothing_of_what_is_given_with_it():
    with pytest.raises(ParameterInvalid):
        change(WHOLE, address="2 Hacker Way", vertical="SHRUBS")


@given(st.text(max_size=600))
def test_a_text_that_is_taken_can_be_stored(text):
    try:
        profile = change(WHOLE, description=text)
    except ParameterInvalid:
        return

    assert profile.description.encode().decode() == text
