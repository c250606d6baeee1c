"""How often one address may fail to authenticate: a token bucket each, in a bounded table. Pure.

Only failures are counted, and only failures are held back: a valid key is let in from wherever it
comes. A key is 256 random bits, so nothing is guessed in any number of attempts; what is bounded
is the work and the log of a client that hammers. Holding back whole addresses would let one such
client lock out everybody who shares its address, which behind a proxy is everybody.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

from serve_app.policy.key_limits import KeyUse

MAX_ADDRESSES = 4096


@dataclass(slots=True)
class FailedLogins:
    """The table.

    Args:
        per_minute: failures that are answered as such; as many at once after a quiet minute.
        max_addresses: beyond them the one that failed longest ago is forgotten.
    """

    per_minute: float
    max_addresses: int = MAX_ADDRESSES
    _uses: OrderedDict[str, KeyUse] = field(default_factory=OrderedDict)

    def failed(self, address: str, now_s: float) -> float:
        """Note a failure; seconds after which the next is answered again, 0 if this one is."""
        use = self._uses.setdefault(group_of(address), KeyUse())
        self._uses.move_to_end(group_of(address))
        while len(self._uses) > self.max_addresses:
            self._uses.popitem(last=False)
        wait_s = use.seconds_until_allowed(self.per_minute, now_s)
        if wait_s <= 0:
            use.begin()
            use.end()
        return wait_s


def group_of(address: str) -> str:
    """The address; of an IPv6 one the /64, which is what one customer has."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(ip), 64), strict=False))
    return str(ip)
