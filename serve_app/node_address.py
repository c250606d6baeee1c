"""Where the gRPC server of a replica listens: Serve starts one in each, for calls among them.

Serve binds it to all interfaces, whatever the node's address is, which everything else of Ray
follows. There is no option for it, so one of Serve's private names is replaced in the replica's
process (Ray 2.60); ``tests/e2e/test_listeners.py`` would notice a change.
"""

from __future__ import annotations

from typing import Any

import ray
from ray._common.network_utils import build_address, is_localhost
from ray.serve._private import replica


def listen_where_the_node_does() -> None:
    """Keep this replica's server to loopback, if its node is; for its constructor.

    Serve binds when the constructor has ended.

    Raises:
        AttributeError: Serve no longer has the name; the replica does not start.
    """
    address = ray.util.get_node_ip_address()
    if not is_localhost(address):
        return
    add_port = replica.add_port_to_grpc_server

    def add_loopback_port(server: Any, _: str) -> Any:
        return add_port(server, build_address(address, 0))

    replica.add_port_to_grpc_server = add_loopback_port
