#!/usr/bin/env bash
# Measures trib beside redis-cli 7.0 in one run, on the same servers and data.
#
#   scripts/bench.sh [CASE]...     default: all; REPS=3
#
# The cases are listed at the end.
#
# Prints the median of each and the ratio. Lock, pre-flight and verification are
# on. The runs are interleaved: whatever else the machine does hits both.
set -euo pipefail
cd "$(dirname "$0")/.."

reps=${REPS:-3}
bin=.servers/redis-7.0/bin
trib=bin/trib
work=$(mktemp -d)
lab=$work/lab
cleanup() { [ -z "${source:-}" ] || kill "$source" 2>/dev/null; $trib lab down "$lab" --remove >/dev/null 2>&1 || true; rm -rf "$work"; }
trap cleanup EXIT

timed() { # seconds of a command, whose output is kept for the case that it fails
  local start end
  start=$(date +%s.%N)
  "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; return 1; }
  end=$(date +%s.%N)
  awk -v a="$start" -v b="$end" 'BEGIN {print b - a}'
}

median() { sort -n | awk '{v[NR]=$1} END {print NR % 2 ? v[(NR+1)/2] : (v[NR/2] + v[NR/2+1]) / 2}'; }

report() { # name, file of trib's seconds, file of redis-cli's
  local t c
  t=$(median <"$2"); c=$(median <"$3")
  printf '%-44s trib %7.3f s   redis-cli %7.3f s   ratio %.2f   (n=%d; trib %s; redis-cli %s)\n' "$1" "$t" "$c" \
    "$(awk -v t="$t" -v c="$c" 'BEGIN {print t / c}')" "$reps" "$(xargs printf '%.2f ' <"$2")" "$(xargs printf '%.2f ' <"$3")"
}

up() { # nodes
  $trib lab up "$lab" --masters "$1" --replicas 0 --no-create --server "$(echo "$bin"/*-server)" >/dev/null
  mapfile -t nodes < <($trib lab status "$lab" -o json | grep -o '127\.0\.0\.1:[0-9]*' | sort -u)
}
down() { $trib lab down "$lab" --remove >/dev/null; }
on() { local node=$1; shift; "$(echo "$bin"/*-cli)" -h "${node%:*}" -p "${node##*:}" "$@"; }

create() { # name, nodes
  : >"$work/t"; : >"$work/c"
  for _ in $(seq "$reps"); do
    up "$2"
    timed $trib create "${nodes[@]}" --replicas 1 --wait=joined --yes >>"$work/t"
    down; up "$2"
    timed "$bin/redis-cli" --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes >>"$work/c"
    down
  done
  report "$1" "$work/t" "$work/c"
}

# load puts a million keys of 100 bytes into the cluster: each node is offered
# all of them and takes its own.
load() {
  for node in "${nodes[@]}"; do
    seq 1000000 | awk '{printf "SET key:%d %0100d\r\n", $1, 0}' | on "$node" --pipe >/dev/null 2>&1 || true
  done
}

# fresh starts a cluster of three masters and further empty ones.
fresh() { # nodes in all, loaded?
  up "$1"
  $trib create "${nodes[@]:0:3}" --yes >/dev/null
  [ -z "${2:-}" ] || load
  for node in "${nodes[@]:3}"; do on "${nodes[0]}" cluster meet "${node%:*}" "${node##*:}" >/dev/null; done
  for node in "${nodes[@]}"; do
    until [ "$(on "$node" cluster nodes | grep -cv handshake)" = "$1" ] && on "$node" cluster info | grep -q cluster_state:ok; do sleep 0.1; done
  done
  a=$(on "${nodes[0]}" cluster myid); b=$(on "${nodes[1]}" cluster myid)
  before=$(total)
}
total() { for node in "${nodes[@]}"; do on "$node" dbsize; done | awk '{n += $1} END {print n}'; }
kept() { [ "$(total)" = "$before" ] || { echo "keys were lost" >&2; exit 1; }; }

# beside runs both tools on clusters of their own, which are alike.
beside() { # name, nodes, loaded?, trib's arguments --, redis-cli's; SEED, A and B stand for nodes
  local name=$1 n=$2 loaded=$3 mine=() theirs=() words; shift 3
  while [ "$1" != -- ]; do mine+=("$1"); shift; done
  shift; theirs=("$@")
  : >"$work/t"; : >"$work/c"
  for _ in $(seq "$reps"); do
    fresh "$n" "$loaded"; mapfile -t words < <(filled "${mine[@]}")
    timed $trib "${words[@]}" >>"$work/t"
    kept; down; fresh "$n" "$loaded"; mapfile -t words < <(filled "${theirs[@]}")
    timed "$bin/redis-cli" --cluster "${words[@]}" >>"$work/c"
    kept; down
  done
  report "$name" "$work/t" "$work/c"
}
filled() { printf '%s\n' "$@" | sed "s/^SEED$/${nodes[2]}/; s/^A$/$a/; s/^B$/$b/"; }

by_flags=(reshard SEED --from A --to B --slots 4096 --yes)
by_cluster_flags=(reshard SEED --cluster-from A --cluster-to B --cluster-slots 4096 --cluster-yes)
evenly=(rebalance SEED --cluster-use-empty-masters --cluster-yes)

# under_load moves slots under 2,000 operations a second, and shows what their
# clients felt.
under_load() {
  go build -o "$work/load" ./scripts/load
  for _ in $(seq "$reps"); do
    for tool in $trib "$bin/redis-cli --cluster"; do
      fresh 3 loaded
      local words; mapfile -t words < <(filled "${by_flags[@]}")
      [ "$tool" = $trib ] || mapfile -t words < <(filled "${by_cluster_flags[@]}")
      "$work/load" -nodes "${nodes[2]}" >"$work/felt" & local pid=$!
      sleep 3
      timed $tool "${words[@]}" >"$work/t"
      kill -TERM "$pid"; wait "$pid"
      printf '  %-12s %6.2f s   %s\n' "$(basename "${tool%% *}")" "$(cat "$work/t")" "$(cat "$work/felt")"
      kept; down
    done
  done
}

# orders shows what clients see that hammer the moving slots.
orders() {
  go build -o "$work/load" ./scripts/load
  for order in target source; do
    fresh 3 loaded
    local words; mapfile -t words < <(filled "${by_flags[@]}")
    "$work/load" -nodes "${nodes[2]}" -slots 4096 -hammer >"$work/felt" & local pid=$!
    sleep 1
    timed $trib "${words[@]}" --finalise $order >"$work/t"
    kill -TERM "$pid"; wait "$pid"
    printf '  %-12s %6.2f s   %s\n' "$order" "$(cat "$work/t")" "$(cat "$work/felt")"
    kept; down
  done
}

# import brings a million keys of 100 bytes of a standalone server into a cluster.
import() {
  local port=21998
  (cd "$work" && exec "$OLDPWD/$bin/redis-server" --port $port --save '' --dir "$work") >/dev/null & source=$!
  until on 127.0.0.1:$port ping >/dev/null 2>&1; do sleep 0.1; done
  seq 1000000 | awk '{printf "SET key:%d %0100d\r\n", $1, 0}' | on 127.0.0.1:$port --pipe >/dev/null
  : >"$work/t"; : >"$work/c"
  for _ in $(seq "$reps"); do
    fresh 3 ""; before=1000000
    timed $trib import "${nodes[0]}" --from 127.0.0.1:$port --yes >>"$work/t"
    kept; down; fresh 3 ""; before=1000000
    timed "$bin/redis-cli" --cluster import "${nodes[0]}" --cluster-from 127.0.0.1:$port --cluster-copy >>"$work/c"
    kept; down
  done
  kill "$source"; source=
  report "$1" "$work/t" "$work/c"
}

# wrecked starts a cluster of so many masters with 40,000 keys and breaks it.
wrecked() { # masters, how
  up "$1"
  $trib create "${nodes[@]}" --yes >/dev/null
  for node in "${nodes[@]}"; do
    seq 40000 | awk '{printf "SET key:%d %0100d\r\n", $1, 0}' | on "$node" --pipe >/dev/null 2>&1 || true
  done
  before=$(total)
  "$2"
}

# without_owner takes the first third of the slots away from their master, with
# the keys: what is left is empty.
without_owner() {
  on "${nodes[0]}" flushall >/dev/null
  before=$(total)
  for node in "${nodes[@]}"; do on "$node" cluster delslotsrange 0 5460 >/dev/null; done
}

# half_open opens a thousand slots, each towards one of the other masters.
half_open() {
  local ids=() n=${#nodes[@]} slot from to
  for node in "${nodes[@]}"; do ids+=("$(on "$node" cluster myid)"); done
  for slot in $(seq 0 16 15999); do
    from=$((slot * n / 16384)); to=$(((from + 1 + slot / 16 % (n - 1)) % n))
    echo "cluster setslot $slot importing ${ids[from]}" >>"$work/open.$to"
    echo "cluster setslot $slot migrating ${ids[to]}" >>"$work/open.$from"
  done
  for i in $(seq 0 $((n - 1))); do on "${nodes[i]}" <"$work/open.$i" >/dev/null; done
  rm "$work"/open.*
}

# fixes lets both tools repair clusters that were broken alike.
fixes() { # name, masters, how they are broken
  : >"$work/t"; : >"$work/c"
  for _ in $(seq "$reps"); do
    wrecked "$2" "$3"
    timed $trib fix "${nodes[0]}" --yes >>"$work/t"
    kept; down; wrecked "$2" "$3"
    timed sh -c "yes yes | '$bin/redis-cli' --cluster fix '${nodes[0]}'" >>"$work/c"
    left=$(total); [ "$left" = "$before" ] || echo "redis-cli lost $((before - left)) of $before keys"
    down
  done
  report "$1" "$work/t" "$work/c"
}

# atomic moves slots by the servers themselves, on Valkey 9.1: beside valkey-cli's
# own option for that, and beside the classic move; then from three masters to
# three empty ones at the same time.
atomic() {
  local bin=.servers/valkey-9.1/bin words; stock() { "$bin/valkey-cli" --cluster "$@"; }
  local -A lines=([trib atomic]="$trib|--method atomic" [trib classic]="$trib|--method classic" [valkey-cli]="stock|--cluster-use-atomic-slot-migration")
  for _ in $(seq "$reps"); do
    for one in "trib atomic" "trib classic" "valkey-cli"; do
      fresh 3 loaded; mapfile -t words < <(filled "${by_flags[@]}")
      [ "$one" != valkey-cli ] || mapfile -t words < <(filled "${by_cluster_flags[@]}")
      timed ${lines[$one]%%|*} "${words[@]}" ${lines[$one]#*|} >>"$work/$one"
      kept; down
    done
    fresh 6 loaded; mapfile -t words < <(filled rebalance SEED --use-empty-masters --yes --method atomic)
    timed $trib "${words[@]}" >>"$work/trib in pairs"
    kept; down
  done
  for one in "trib atomic" "trib classic" "valkey-cli" "trib in pairs"; do
    printf '  %-14s %7.3f s   (%s)\n' "$one" "$(median <"$work/$one")" "$(xargs printf '%.2f ' <"$work/$one")"
  done
}

memory() {
  fresh 3 loaded
  local words; mapfile -t words < <(filled "${by_flags[@]}")
  printf '%-44s %s MB at most\n' "memory of trib in a reshard" "$(peak $trib "${words[@]}")"
  kept; down
}

# peak prints the peak resident memory of a command in MB: the kernel's own high
# water mark, read until the command ends.
peak() {
  local pid high=0 now
  "$@" >/dev/null 2>&1 & pid=$!
  while now=$(awk '/^VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do high=$now; sleep 0.02; done
  wait "$pid" || true
  awk -v kb="$high" 'BEGIN {printf "%.1f", kb / 1024}'
}

# check100 looks at a cluster of 50 masters with a replica each and 20,000 keys.
check100() {
  : >"$work/t"; : >"$work/c"
  up 100
  $trib create "${nodes[@]}" --replicas 1 --yes >/dev/null
  for node in "${nodes[@]}"; do
    seq 20000 | awk '{printf "SET key:%d %0100d\r\n", $1, 0}' | on "$node" --pipe >/dev/null 2>&1 || true
  done
  for _ in $(seq "$reps"); do
    timed $trib check "${nodes[0]}" >>"$work/t"
    timed "$bin/redis-cli" --cluster check "${nodes[0]}" >>"$work/c"
  done
  report "check of 100 nodes" "$work/t" "$work/c"
  printf '%-44s %s MB at most\n' "  memory of trib" "$(for _ in $(seq "$reps"); do peak $trib check "${nodes[0]}"; echo; done | sort -n | tail -1)"
  down
}

"$bin/redis-cli" --version
for what in "${@:-create6 create30 create100 check100 reshard rebalance4 rebalance6 empty fix_empty fix_open under_load orders import atomic memory}"; do
  for one in $what; do
    case $one in
      create6) create "create --wait=joined of 6 nodes" 6 ;;
      create30) create "create --wait=joined of 30 nodes" 30 ;;
      create100) reps=1 create "create --wait=joined of 100 nodes" 100 ;; # 100 servers are 1 GB
      check100) check100 ;;
      reshard) beside "reshard 4096 slots with 250,000 keys" 3 loaded "${by_flags[@]}" -- "${by_cluster_flags[@]}" ;;
      rebalance4) beside "rebalance from 3 to 4 masters, 1M keys" 4 loaded rebalance SEED --use-empty-masters --yes -- "${evenly[@]}" ;;
      rebalance6) beside "rebalance from 3 to 6 masters, 1M keys" 6 loaded rebalance SEED --use-empty-masters --yes -- "${evenly[@]}" ;;
      empty) beside "reshard 4096 empty slots" 3 "" "${by_flags[@]}" -- "${by_cluster_flags[@]}" ;;
      fix_empty) fixes "fix of 5,461 empty slots without owner" 3 without_owner ;;
      fix_open) fixes "fix of 1,000 open slots of 10 masters" 10 half_open ;;
      under_load) echo "reshard 4096 slots with 250,000 keys under 2,000 ops/s"; under_load ;;
      orders) echo "clients that hammer the moving slots, by --finalise"; orders ;;
      import) import "import of 1M keys" ;;
      atomic) printf '4096 slots with 250,000 keys on Valkey 9.1, and 8192 with 500,000 in pairs\n'; atomic ;;
      memory) memory ;;
      *) echo "bench.sh: no benchmark $one" >&2; exit 2 ;;
    esac
  done
done
