#!/usr/bin/env bash
# Runs a Matrix homeserver for tests in the foreground, on loopback only, without federation and without rate limits.
#
#   tests/synapse/up.sh DIR PORT
#
# DIR holds its configuration, keys, database and log; started again on the same DIR it is the same server.
# It answers on http://127.0.0.1:PORT, first on /health. Anyone may register there; the shared secret is "tests".
# HERALD_TEST_SYNAPSE_VENV names the Python environment with Synapse (tests/run --setup makes it, tests/run --env names it).
set -euo pipefail
umask 077

if [ $# -ne 2 ]; then
    echo "usage: $0 DIR PORT" >&2
    exit 2
fi
: "${HERALD_TEST_SYNAPSE_VENV:?is not set: run tests/run --setup, then export \$(tests/run --env)}"
python=$HERALD_TEST_SYNAPSE_VENV/bin/python
mkdir -p "$1"
dir=$(cd "$1" && pwd -P)
port=$2
unlimited='{ per_second: 100000, burst_count: 100000 }'

cat >"$dir/homeserver.yaml" <<YAML
server_name: localhost
public_baseurl: http://127.0.0.1:$port/
pid_file: "$dir/homeserver.pid"
listeners:
  - { type: http, port: $port, bind_addresses: ["127.0.0.1"], tls: false, resources: [{ names: [client] }] }
database: { name: sqlite3, args: { database: "$dir/homeserver.db" } }
log_config: "$dir/log.yaml"
media_store_path: "$dir/media"
signing_key_path: "$dir/signing.key"
registration_shared_secret: tests
macaroon_secret_key: tests
form_secret: tests
enable_registration: true
enable_registration_without_verification: true
report_stats: false
trusted_key_servers: []
suppress_key_server_warning: true
federation_domain_whitelist: []
url_preview_enabled: false
presence: { enabled: false }
bcrypt_rounds: 4
rc_message: $unlimited
rc_registration: $unlimited
rc_login: { address: $unlimited, account: $unlimited, failed_attempts: $unlimited }
rc_joins: { local: $unlimited, remote: $unlimited }
rc_joins_per_room: $unlimited
rc_invites: { per_room: $unlimited, per_user: $unlimited, per_issuer: $unlimited }
rc_room_creation: $unlimited
rc_key_requests: $unlimited
rc_admin_redaction: $unlimited
YAML

cat >"$dir/log.yaml" <<YAML
version: 1
formatters: { line: { format: "%(asctime)s %(name)s %(levelname)s %(message)s" } }
handlers: { file: { class: logging.FileHandler, filename: "$dir/synapse.log", formatter: line } }
root: { level: ${SYNAPSE_LOG:-WARNING}, handlers: [file] }
disable_existing_loggers: false
YAML

# Synapse would make its key itself, but only by starting once more (1 s): a key is 32 random bytes.
if [ ! -s "$dir/signing.key" ]; then
    printf 'ed25519 a_test %s\n' "$(head -c 32 /dev/urandom | base64 | tr -d '=\n')" >"$dir/signing.key"
fi

cd "$dir"
exec "$python" -m synapse.app.homeserver -c "$dir/homeserver.yaml"
