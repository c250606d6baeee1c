"""``make cluster-test``: a head and a worker in containers, and pages through them.

Of the image that ``make image-test ARGS="--folder DIR"`` has left in DIR; root.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.deploy.cluster.cluster import Cluster, Node
from tests.deploy.image_test import Tools, unmount

READY_S = 180
HEAD_NODE = Node("head", 0, "head", cpus=0)
WORKER = Node("worker", 1, "cpu", cpus=2)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.cluster", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/image-test"))
    parser.add_argument("--pages", type=int, default=4)
    options = parser.parse_args()
    try:
        cluster = Cluster(Tools(options.folder), "dev-cpu", [HEAD_NODE, WORKER])
        with cluster.running():
            cluster.deploy()
            arguments = ("/client.py", str(READY_S), str(options.pages))
            told = cluster.inside(WORKER, *arguments, timeout_s=READY_S + 60 * options.pages)
            answer = json.loads(told.splitlines()[-1])
            if answer["fault"]:
                print(cluster.logs(HEAD_NODE), cluster.logs(WORKER), file=sys.stderr)
    finally:
        unmount(options.folder)
    print(json.dumps(answer))
    return 1 if answer["fault"] else 0


if __name__ == "__main__":
    sys.exit(main())
