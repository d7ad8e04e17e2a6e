#!/usr/bin/env bash
# Shows trib at work on six local nodes, and cleans up behind itself.
set -euo pipefail
cd "$(dirname "$0")/.."

trib=bin/trib
lab=$(mktemp -d)/lab
server=$(command -v redis-server || command -v valkey-server || true)
cli=$(command -v redis-cli || command -v valkey-cli || true)
if [ -z "$server" ] || [ -z "$cli" ]; then
  scripts/servers.sh .servers redis-7.0 >/dev/null
  server=.servers/redis-7.0/bin/redis-server
  cli=.servers/redis-7.0/bin/redis-cli
fi
cleanup() { $trib lab down "$lab" --remove >/dev/null 2>&1 || true; rm -rf "$(dirname "$lab")"; }
trap cleanup EXIT

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
run() { say "$*"; "$@"; }

run $trib lab up "$lab" --masters 3 --replicas 1 --no-create --server "$server"
mapfile -t nodes < <($trib lab status "$lab" -o json | grep -o '127\.0\.0\.1:[0-9]*' | sort -u)
seed=${nodes[0]}

run $trib create --replicas 1 "${nodes[@]}" --yes

say "write 3000 keys"
for i in $(seq 1 3000); do echo "SET key:$i value:$i"; done | "$cli" -c -h 127.0.0.1 -p "${seed##*:}" >/dev/null

run $trib info "$seed"
run $trib reshard "$seed" --from "${nodes[0]}" --to "${nodes[1]}" --slots 1000 --dry-run
run $trib reshard "$seed" --from "${nodes[0]}" --to "${nodes[1]}" --slots 1000 --yes
run $trib check "$seed"

say "read the 3000 keys again"
found=$(for i in $(seq 1 3000); do echo "GET key:$i"; done | "$cli" -c -h 127.0.0.1 -p "${seed##*:}" | grep -c '^"\?value:')
echo "$found of 3000 keys are there"
[ "$found" = 3000 ]
