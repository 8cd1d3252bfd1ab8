"""Reading forms: what a browser sends is read, everything else is refused."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlatch.domain.errors import ParameterUnexpected, RequestMalformed
from nightlatch.faces.manager.forms import only, read_form, read_next, read_pairs

FORM = "application/x-www-form-urlencoded"


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=20))
def test_what_a_browser_encodes_is_read_back_untouched(fields):
    fields = {
        name: value
        for name, value in fields.items()
        if name.isprintable() and not any("\ud800" <= c <= "\udfff" for c in name + value)
    }

    assert read_form(urlencode(fields).encode(), FORM) == fields


@pytest.mark.parametrize(
    "kind",
    [None, "", "text/plain", "application/json", "multipart/form-data; boundary=x",
     FORM + "; charset=utf-7", FORM + "; charset=iso-8859-1", "x" + FORM],
)  # fmt: skip
def test_a_body_that_is_no_form_is_refused(kind):
    with pytest.raises(RequestMalformed):
        read_form(b"a=1", kind)


@pytest.mark.parametrize(
    "kind", [FORM, FORM.upper(), FORM + ";charset=UTF-8", FORM + '; charset="utf-8"']
)
def test_a_form_may_say_that_it_is_utf_8(kind):
    assert read_form(b"a=1", kind) == {"a": "1"}


@pytest.mark.parametrize(
    "raw",
    [b"a=1&a=2", b"a=1&%61=2", b"a=%", b"a=%f", b"a=%zz", b"a=%ff", b"a=%c0%80", b"a=%ed%a0%80",
     "a=ü".encode(), b"&".join(b"f%d=" % i for i in range(65))],
)  # fmt: skip
def test_a_form_that_reads_two_ways_is_refused(raw):
    with pytest.raises(RequestMalformed):
        read_pairs(raw)


def test_absent_fields_are_empty_and_unknown_ones_refused():
    assert only({"a": " 1 "}, ("a", "b")) == {"a": " 1 ", "b": ""}
    with pytest.raises(ParameterUnexpected):
        only({"a": "1", "role": "owner"}, ("a",))


@pytest.mark.parametrize(
    "path",
    ["/manager", "/manager/members", "/manager/numbers/123/two-step",
     "/manager/accounts/3/numbers?show=locked&text=%2B49", "/manager/turn-off/a-_b"],
)  # fmt: skip
def test_a_path_of_ours_is_a_place_to_go_to(path):
    assert read_next(path) == path


@pytest.mark.parametrize(
    "text",
    ["", "/", "//evil.example", "/managers", "/v1/users", "https://evil.example/manager/",
     "//evil.example/manager/", "/\\evil.example", "/manager//evil.example", "/manager/../v1",
     "/manager/..", "/manager/\\evil.example", "/manager/a\r\nSet-Cookie: x=1", "/manager/a b",
     "javascript:alert(1)", "/manager/a#b", "/manager@evil.example", "/manager.evil.example",
     "\t/manager/", " /manager/", "/manager/ü", "/manager/" + "a" * 600, "/manager?x=//evil",
     "/manager/<script>", "/Manager/members"],
)  # fmt: skip
def test_whatever_else_is_nowhere_to_go(text):
    assert read_next(text) == ""
