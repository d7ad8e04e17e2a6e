#!/usr/bin/env bash
# Measures trib beside redis-cli 7.0 in one run, on the same servers and data.
#
#   scripts/bench.sh [create6|create30|create100|reshard]...     default: all; REPS=3
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
cleanup() { $trib lab down "$lab" --remove >/dev/null 2>&1 || true; rm -rf "$work"; }
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
  $trib lab up "$lab" --masters "$1" --replicas 0 --no-create --server "$bin/redis-server" >/dev/null
  mapfile -t nodes < <($trib lab status "$lab" -o json | grep -o '127\.0\.0\.1:[0-9]*' | sort -u)
}
down() { $trib lab down "$lab" --remove >/dev/null; }
on() { local node=$1; shift; "$bin/redis-cli" -h "${node%:*}" -p "${node##*:}" "$@"; }

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

fresh() {
  up 3
  $trib create "${nodes[@]}" --yes >/dev/null
  load
  a=$(on "${nodes[0]}" cluster myid); b=$(on "${nodes[1]}" cluster myid)
  before=$(total)
}
total() { for node in "${nodes[@]}"; do on "$node" dbsize; done | awk '{n += $1} END {print n}'; }
kept() { [ "$(total)" = "$before" ] || { echo "keys were lost" >&2; exit 1; }; }

reshard() {
  : >"$work/t"; : >"$work/c"
  for _ in $(seq "$reps"); do
    fresh
    timed $trib reshard "${nodes[2]}" --from "$a" --to "$b" --slots 4096 --yes >>"$work/t"
    kept; down; fresh
    timed "$bin/redis-cli" --cluster reshard "${nodes[2]}" --cluster-from "$a" --cluster-to "$b" \
      --cluster-slots 4096 --cluster-yes >>"$work/c"
    kept; down
  done
  report "reshard 4096 slots with 250,000 keys" "$work/t" "$work/c"
}

"$bin/redis-cli" --version
for what in "${@:-create6 create30 create100 reshard}"; do
  for one in $what; do
    case $one in
      create6) create "create --wait=joined of 6 nodes" 6 ;;
      create30) create "create --wait=joined of 30 nodes" 30 ;;
      create100) reps=1 create "create --wait=joined of 100 nodes" 100 ;; # 100 servers are 1 GB
      reshard) reshard ;;
      *) echo "bench.sh: no benchmark $one" >&2; exit 2 ;;
    esac
  done
done
