"""A real store of which a test replaces single promises."""

from typing import Any


class StoreWith:
    """Everything of *inner*, but the methods given by name."""

    def __init__(self, inner: Any, **methods: Any) -> None:
        self._inner = inner
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
