#!/bin/sh
# Make a project in the folder given, unless it is there, and serve it: scripts/try.sh build/shop
set -eu
project=$1
fastperf=$(dirname "$0")/../.venv/bin/fastperf

[ -e "$project" ] || "$fastperf" new "$project" --yes
cd "$project"
.venv/bin/alembic upgrade head
port=${PORT:-$(python3 -c '
import socket
for port in (8000, 0):
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(free.getsockname()[1])
        break
')}
echo "Serving $project at http://127.0.0.1:$port (documentation: /docs); stop it with Ctrl-C."
exec .venv/bin/fastapi dev --port "$port"
