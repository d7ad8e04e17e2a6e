# The life of a cluster as scripts for redis-trib.rb have written it: eight
# servers, the last two of which come later. Whoever writes REPLICATE to a node
# by hand elsewhere has a command for it here.
set -eu
one=$1 new=$7 spare=$8

id() { redis-trib.rb check "$one" | awk -v addr="$1" '$1 ~ /^[MS]:$/ && $3 == addr { print $2 }'; }
slots() { redis-trib.rb info "$one" | awk -v addr="$1" '$1 == addr && /slots/ { print $7 }'; }
want() { test "$2" = "$3" || { echo "$1: $2, want $3"; exit 9; }; }

echo yes | redis-trib.rb create --replicas 1 "$1" "$2" "$3" "$4" "$5" "$6"

export REDISCLI_CLUSTER_YES=1
redis-trib.rb add-node "$new" "$one"
redis-trib.rb add-node "$spare" "$one"
redis-trib.rb reshard --from all --to "$(id "$new")" --slots 4096 --yes "$one"
want "the new master has" "$(slots "$new")" 4096
redis-trib.rb replicate "$one" "$(id "$spare")" "$(id "$new")"
redis-trib.rb reshard --from "$(id "$new")" --to "$(id "$one")" --slots 4096 --yes "$one"
kept=$(slots "$new") # nothing: who gives its last slot away becomes a replica of who got it
want "the new master keeps" "${kept:-0}" 0
redis-trib.rb del-node "$one" "$(id "$new")"
redis-trib.rb rebalance --threshold 1 "$one"
redis-trib.rb check "$one" | grep -F '[OK] All 16384 slots covered.'
