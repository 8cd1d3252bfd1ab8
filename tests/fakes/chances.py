"""Randomness that a test knows beforehand."""


class KnownCodes:
    """These codes, one after the other; every token is another one."""

    def __init__(self, codes: list[str]) -> None:
        self._codes = codes
        self._tokens = 0

    def digits(self, count: int) -> str:
        code = self._codes.pop(0)
        assert len(code) == count
        return code

    def token(self, size: int) -> str:
        self._tokens += 1
        return f"{self._tokens:0{size}d}"
