#!/bin/sh
# Install what the tests and benchmarks run besides Python: databases, pgbouncer, brokers, wrk, Prometheus.
# Only as root on Debian or Ubuntu; elsewhere tests that lack something are skipped, and say so.
set -eu

missing=""
for found in "initdb:postgresql" "mariadbd:mariadb-server" "pgbouncer:pgbouncer" \
    "redis-server:redis-server" "rabbitmq-server:rabbitmq-server" "wrk:wrk" "promtool:prometheus"; do
    program=${found%%:*}
    if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null &&
        ! ls /usr/lib/postgresql/*/bin/"$program" >/dev/null 2>&1; then
        missing="$missing ${found#*:}"
    fi
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "note: without$missing some tests are skipped; as root this script installs them." >&2
    exit 0
fi
apt-get update -qq
# A private server is started where one is needed: Debian's own need not be made or run.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
# Nor started: where the machine has no policy on that, this is one for as long as it takes.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
for service in redis-server rabbitmq-server; do
    case "$missing" in
    *$service*) update-rc.d "$service" disable ;; # nor after the next boot
    esac
done
