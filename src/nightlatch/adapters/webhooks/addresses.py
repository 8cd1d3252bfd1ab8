"""Which addresses a webhook may go to, seen by whoever connects."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from nightlatch.domain.errors import CallbackRefused

LookUp = Callable[[str], Awaitable[list[str]]]
"""The addresses of a name. Raises OSError."""

NOT_PUBLIC: Final = (
    "it leads to an address that is not public, which only --private-receivers allows"
)
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

# Written out, because what ``ipaddress`` calls global differs between releases of Python.
# Source: IANA IPv4 and IPv6 Special-Purpose Address Registries
_SPECIAL_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
_GLOBAL_6: Final = IPv6Network("2000::/3")
_SPECIAL_6: Final = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052; what IPv6-only networks see IPv4 hosts as


def is_public(address: str) -> bool:
    """Whether *address* is one host on the Internet. Raises ValueError when it is no address."""
    found = ipaddress.ip_address(address)
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None and found not in _NAT64:
            return found in _GLOBAL_6 and not any(found in network for network in _SPECIAL_6)
        found = IPv4Address(int(found) & 0xFFFF_FFFF)
    return not any(found in network for network in _SPECIAL_4)


def refuse_literal(host: str) -> None:
    """Raise CallbackRefused when *host* is an address, and not a public one.

    A name passes: where it leads is seen by ``Resolver``.
    """
    try:
        public = is_public(host)
    except ValueError:
        return
    if not public:
        raise CallbackRefused(NOT_PUBLIC)


class Resolver(AbstractResolver):
    """Gives whoever connects the addresses of a name that it may connect to.

    They are checked each time they are looked up, and exactly those are
    connected to: a name that leads elsewhere a moment later gains nothing.
    """

    def __init__(self, private: bool, look_up: LookUp) -> None:
        """*private* lets every address pass."""
        self._private, self._look_up = private, look_up

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's; any will do
    ) -> list[ResolveResult]:
        found = await self._look_up(host)
        if not self._private:
            found = [address for address in found if is_public(address)]
            if not found:
                raise CallbackRefused(NOT_PUBLIC)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=_NUMERIC,
            )
            for address in found
        ]

    async def close(self) -> None:
        return


async def look_up(host: str) -> list[str]:
    """As the system does it, in a thread of its own: a name server that does not answer holds
    up no other name, and not the end of the process either. Raises OSError."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str], error: OSError | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(addresses)
        else:
            found.set_exception(error)

    def work() -> None:
        addresses, failure = [], None
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = [str(address[0]) for *_, address in infos]
        except (OSError, UnicodeError) as error:  # the second: no name could look like this
            failure = error if isinstance(error, OSError) else OSError("not a name")
        try:
            loop.call_soon_threadsafe(tell, addresses, failure)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=work, name="look-up", daemon=True).start()
    return await found
