"""The HTTP client, loaded when the first webhook needs it."""

import asyncio
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightlatch.ports import Answered

if TYPE_CHECKING:
    from nightlatch.adapters.webhooks.http import HttpReceivers


class LateReceivers:
    """The ``Receivers`` port: ``HttpReceivers``, which a server without webhooks never loads.

    The client takes 25 MiB of memory and a sixth of a second.
    """

    def __init__(self, private: bool, version: str) -> None:
        self._chosen = (private, version)
        self._found: HttpReceivers | None = None

    async def challenge(self, url: str, query: Mapping[str, str]) -> Answered:
        return await (await self._loaded()).challenge(url, query)

    async def post(self, url: str, body: bytes, signature: str) -> Answered:
        return await (await self._loaded()).post(url, body, signature)

    async def close(self) -> None:
        """As ``HttpReceivers.close``."""
        if self._found is not None:
            await self._found.close()

    async def _loaded(self) -> "HttpReceivers":
        if self._found is None:
            name = "nightlatch.adapters.webhooks.http"
            module = await asyncio.to_thread(importlib.import_module, name)
            self._found = self._found or module.HttpReceivers(*self._chosen)
        return self._found
