"""Whose turn it is: interactive before batch, then one page per request in turn. Pure.

A document of 500 pages and a single picture that arrive together take turns, so the picture waits
for one page, not for 500. Within a request the order is that of arrival.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from serve_app.messages import Priority


class FairQueue:
    """Tickets that wait. A ticket is in the queue at most once."""

    def __init__(self) -> None:
        self._owners: dict[Priority, OrderedDict[str, deque[str]]] = {
            "interactive": OrderedDict(),
            "batch": OrderedDict(),
        }
        self._places: dict[str, tuple[Priority, str]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def push(self, ticket: str, owner: str, priority: Priority = "interactive") -> None:
        """Queue the ticket behind its owner's others.

        Raises:
            ValueError: it waits already.
        """
        if ticket in self._places:
            raise ValueError(f"ticket {ticket} waits already")
        self._places[ticket] = (priority, owner)
        self._owners[priority].setdefault(owner, deque()).append(ticket)

    def pop(self) -> str | None:
        """The next ticket, taken out; its owner goes to the end of the round."""
        for owners in self._owners.values():
            if owners:
                owner, tickets = next(iter(owners.items()))
                ticket = tickets.popleft()
                del self._places[ticket]
                if tickets:
                    owners.move_to_end(owner)
                else:
                    del owners[owner]
                return ticket
        return None

    def remove(self, ticket: str) -> bool:
        """Take a ticket out whose holder gave up; False if it does not wait (any more)."""
        if ticket not in self._places:
            return False
        priority, owner = self._places.pop(ticket)
        tickets = self._owners[priority][owner]
        tickets.remove(ticket)
        if not tickets:
            del self._owners[priority][owner]
        return True
