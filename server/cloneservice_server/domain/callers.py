"""Who calls, as far as the rest of the service needs to know: whose requests and which accounts are theirs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller. Without a policy everybody owns every request and sees every account."""

    name: str = ""
    """Name in the policy; without one, the identity that was shown. Stored with each request."""
    accounts: frozenset[str] | None = None
    """Connected accounts that it may see; None means all."""
    aliases: frozenset[str] | None = None
    """Other names that its requests may be stored under; None means that requests have no owner."""
    requests_per_second: int = 0
    """Its own limit; 0 means the server's."""

    def owns(self, stored: str) -> bool:
        """Whether a request stored under the name `stored` is this caller's. "" was stored before callers had names."""
        return self.aliases is None or not stored or stored == self.name or stored in self.aliases

    def sees(self, connected_account_id: str) -> bool:
        """Whether it may know anything of this account."""
        return self.accounts is None or connected_account_id in self.accounts


ANYBODY = Caller()
"""The caller where nobody asks who calls."""
