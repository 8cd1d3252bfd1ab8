"""Which passwords people choose, by zxcvbn."""

import re
from collections.abc import Iterable, Sequence

_READ = 72
"""Characters that are looked at; zxcvbn takes no more."""
_GOOD = 3
"""zxcvbn's score from 0 to 4: more than 10^8 guesses."""
_WORD = 3
"""A shorter word about the owner is left in, when what remains is looked at."""
_SPELLINGS = 8
_LOOK_ALIKE = {
    "a": "4@", "b": "8", "c": "({[<", "e": "3", "g": "69", "i": "1!|", "l": "1|7", "o": "0",
    "s": "$5", "t": "+7", "x": "%", "z": "2",
}  # fmt: skip
"""The letters that zxcvbn reads other characters as."""
_ELSEWHERE = 0xE000


class CommonPasswords:
    """The ``Passwords`` port."""

    def is_common(self, password: str, about: Sequence[str]) -> bool:
        known = {word for text in about for word in (text, *re.split(r"\W+", text)) if word}
        rest = password.casefold()
        for word in sorted(known, key=len, reverse=True):
            if len(word) >= _WORD:
                rest = rest.replace(word.casefold(), "")
        return _is_weak(password, known) or (rest != password.casefold() and _is_weak(rest, known))


def _is_weak(text: str, known: Iterable[str]) -> bool:
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its word lists are read when first needed

    try:
        found = zxcvbn(_few_spellings(text[:_READ]), user_inputs=sorted(known))
    except Exception:  # noqa: BLE001 - what cannot be judged is not good enough
        return True
    return bool(found["score"] < _GOOD)


def _few_spellings(text: str) -> str:
    """*text* with at most _SPELLINGS ways of reading look-alikes as letters.

    zxcvbn tries each way, so a password of nothing but look-alikes would keep
    it busy for seconds. Those too many become characters that look like
    nothing, which no word list misses. Digits stay first, as dates need them.
    """
    kept: set[str] = set()
    moved: dict[int, int] = {}
    for one in sorted(set(text), key=lambda c: (not c.isdigit(), text.index(c))):
        if _spellings(kept | {one}) <= _SPELLINGS:
            kept.add(one)
        else:
            moved[ord(one)] = _ELSEWHERE + ord(one)
    return text.translate(moved)


def _spellings(characters: set[str]) -> int:
    ways = 1
    for alike in _LOOK_ALIKE.values():
        ways *= max(1, sum(one in characters for one in alike))
    return ways
