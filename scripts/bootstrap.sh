#!/bin/sh
# Make .venv with uv in it, from nothing but Debian's python3.
set -eu
cd "$(dirname "$0")/.."

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: Python 3.11 or newer is needed, and python3 is $(python3 --version)." >&2
    exit 1
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    else
        echo "error: python3 has no venv: install it with sudo apt-get install python3-venv." >&2
        exit 1
    fi
fi
python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
