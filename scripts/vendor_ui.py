"""Fetches the files of others that the pages for people use, by the ordinary npm client.

serve_app/ui/vendored.json says which file of which version of which package. `--pin` writes
their hashes into it anew (after a change of a version: the difference is a part of the change);
without it a file with another hash is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

UI = Path(__file__).resolve().parents[1] / "serve_app" / "ui"
LIST, VENDOR = UI / "vendored.json", UI / "static" / "vendor"
TIMEOUT_S = 120


def fetched(package: str, files: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Name here and content of the files of one package.

    Raises:
        CalledProcessError: npm could not get it.
        KeyError: it has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts", package]
        subprocess.run(command, cwd=folder, check=True, timeout=TIMEOUT_S)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for source, name in files.items():
                member = packed.extractfile(f"package/{source}")
                if member is None:
                    raise KeyError(f"{package} has no file {source}")
                yield name, member.read()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pin", action="store_true", help="write the hashes anew")
    options = parser.parse_args()
    listed = json.loads(LIST.read_text(encoding="utf-8"))
    content = {
        name: data
        for package, files in listed["packages"].items()
        for name, data in fetched(package, files)
    }
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(content.items())}
    if options.pin:
        listed["sha256"] = hashes
        LIST.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    elif changed := [name for name in hashes if hashes[name] != listed["sha256"].get(name)]:
        print(f"other content than pinned: {', '.join(changed)}", file=sys.stderr)
        return 1
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (VENDOR / name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
