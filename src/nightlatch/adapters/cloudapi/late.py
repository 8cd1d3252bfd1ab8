"""The HTTP client, loaded when Meta is asked something for the first time."""

import asyncio
import importlib
from typing import TYPE_CHECKING

from nightlatch.domain.links import TokenFacts
from nightlatch.ports import CloudAccess, FoundNumber, FoundPage

if TYPE_CHECKING:
    from nightlatch.adapters.cloudapi.graph import GraphCloudApi


class LateCloudApi:
    """The ``CloudApi`` port: ``GraphCloudApi``, which a server without linked accounts never loads.

    The client takes 25 MiB of memory and a sixth of a second.
    """

    def __init__(self, version: str, seconds: float) -> None:
        """*version* is our own; *seconds* is what one call may take, all of it."""
        self._chosen = (version, seconds)
        self._found: GraphCloudApi | None = None

    async def token(self, access: CloudAccess) -> TokenFacts:
        return await (await self._loaded()).token(access)

    async def account_name(self, access: CloudAccess) -> str:
        return await (await self._loaded()).account_name(access)

    async def numbers(self, access: CloudAccess, after: str, limit: int) -> FoundPage:
        return await (await self._loaded()).numbers(access, after, limit)

    async def number(self, access: CloudAccess, id: str) -> FoundNumber:
        return await (await self._loaded()).number(access, id)

    async def add_number(self, access: CloudAccess, cc: str, national: str, name: str) -> str:
        return await (await self._loaded()).add_number(access, cc, national, name)

    async def ask_code(self, access: CloudAccess, id: str, method: str, language: str) -> None:
        await (await self._loaded()).ask_code(access, id, method, language)

    async def enter_code(self, access: CloudAccess, id: str, code: str) -> None:
        await (await self._loaded()).enter_code(access, id, code)

    async def register(self, access: CloudAccess, id: str, pin: str) -> None:
        await (await self._loaded()).register(access, id, pin)

    async def deregister(self, access: CloudAccess, id: str) -> None:
        await (await self._loaded()).deregister(access, id)

    async def set_pin(self, access: CloudAccess, id: str, pin: str) -> None:
        await (await self._loaded()).set_pin(access, id, pin)

    async def is_subscribed(self, access: CloudAccess, app: str) -> bool:
        return await (await self._loaded()).is_subscribed(access, app)

    async def subscribe(self, access: CloudAccess) -> None:
        await (await self._loaded()).subscribe(access)

    async def close(self) -> None:
        """As ``GraphCloudApi.close``."""
        if self._found is not None:
            await self._found.close()

    async def _loaded(self) -> "GraphCloudApi":
        if self._found is None:
            name = "nightlatch.adapters.cloudapi.graph"
            module = await asyncio.to_thread(importlib.import_module, name)
            self._found = self._found or module.GraphCloudApi(*self._chosen)
        return self._found
