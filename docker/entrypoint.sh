#!/usr/bin/env bash
# Ray's variables (what is already set wins, so those of `docker run -e` do), then the command.
set -euo pipefail

while IFS='=' read -r name value; do
    if [[ -n $name && $name != '#'* && -z ${!name+set} ]]; then
        export "$name=$value"
    fi
done < /opt/ocr-serve/serve_app/command/ray.env

exec "$@"
