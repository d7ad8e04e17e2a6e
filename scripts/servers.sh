#!/bin/bash
# Unpacks Redis and Valkey servers of several versions side by side, without
# installing them, from the Debian mirror that this machine's apt already uses.
#
#   scripts/servers.sh [DIR] [NAME...]
#
# DIR   where they go; default .servers in the repository
# NAME  redis-6.0 redis-7.0 redis-8.0 valkey-8.1 valkey-9.1; default all
#
# Leaves DIR/NAME/bin/{redis,valkey}-{server,cli,benchmark}: launchers that run
# the unpacked program with the C library of its own Debian release, from any
# directory and after DIR was moved. What is already there is left alone.
# Needs apt, dpkg and flock, and no root; about 60 MB a server.
set -euo pipefail

all=(redis-6.0 redis-7.0 redis-8.0 valkey-8.1 valkey-9.1)

say() { echo "servers: $*" >&2; }
die() { say "$@"; exit 1; }

# The Debian suites that carry each server, best first. The version that a
# moving suite has today is compared with the name before anything is unpacked.
suites_of() {
	case $1 in
	redis-6.0) echo bullseye ;;
	redis-7.0) echo bookworm ;;
	redis-8.0 | valkey-8.1) echo trixie ;;
	valkey-9.1) echo sid testing ;;
	*) return 1 ;;
	esac
}

# apt itself says which mirrors the machine uses: so both of its list formats,
# any mirror and any proxy work. Security and update suites hold no whole release.
machine_mirrors() {
	apt-get update --print-uris -o Dir::State::lists="$work/none" |
		sed -nE "s#^'(.*)/dists/[a-z]+/InRelease'.*#\1#p" | sort -u
}

# A mirror frozen at a date before a suite existed may be asked for today.
mirrors() {
	local today
	today=$(date -u +%Y%m%dT000000Z)
	machine_mirrors
	machine_mirrors | sed -nE "s#/[0-9]{8}T[0-9]{6}Z(/|\$)#/$today\1#p"
}

# An apt world of its own for one suite of one mirror: no installed packages,
# nothing of the machine's state touched, no hooks of the machine run.
write_conf() { # conf-dir mirror suite
	local keys
	mkdir -p "$1"/lists/partial "$1"/cache/archives/partial
	keys=$(find /usr/share/keyrings -name 'debian-archive-keyring.*' 2>/dev/null | sort | head -n 1)
	{
		printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nTargets: Packages\n' "$2" "$3"
		[ -z "$keys" ] || echo "Signed-By: $keys"
	} >"$1/mirror.sources"
	cat >"$1/apt.conf" <<-CONF
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Post-Invoke;
		Dir::Etc::sourcelist "$1/mirror.sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State::lists "$1/lists";
		Dir::State::status "/dev/null";
		Dir::Cache "$1/cache";
		Debug::NoLocking "true";
		APT::Sandbox::User "";
		APT::Get::List-Cleanup "false";
		Acquire::Languages "none";
		Acquire::http::Timeout "60";
		Acquire::https::Timeout "60";
	CONF
}

# A slow mirror fails now and then: three tries before it counts.
thrice() { # what command...
	local what=$1 try
	shift
	for try in 1 2 3; do
		timeout 900 "$@" >"$work/log" 2>&1 && return 0
		say "$what failed (try $try of 3): $(grep -m 1 '^[EW]:' "$work/log" || tail -n 1 "$work/log")"
		[ "$try" = 3 ] || sleep $((try * 2))
	done
	return 1
}

candidate() { # conf package -> the version that the suite has
	apt-cache -c "$1" show --no-all-versions "$2" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1
}

# Debian writes 5:7.0.15-1~deb12u5 for what the server calls 7.0.15.
fits() { # version name
	case ${1#*:} in "${2#*-}".*) return 0 ;; *) return 1 ;; esac
}

# Sets conf to the apt world of the first suite and mirror that has the server.
find_suite() { # name
	local name=$1 suite mirror have n=0 seen=
	for suite in $(suites_of "$name"); do
		for mirror in $mirrors; do
			n=$((n + 1))
			conf=$work/$suite-$n/apt.conf
			if [ ! -e "$work/$suite-$n/fresh" ]; then
				write_conf "$work/$suite-$n" "$mirror" "$suite"
				thrice "$name: reading suite $suite of $mirror" apt-get -c "$conf" -q update --error-on=any || continue
				touch "$work/$suite-$n/fresh"
			fi
			have=$(candidate "$conf" "${name%%-*}-server")
			fits "$have" "$name" && return 0
			seen+=" $suite has ${have:-none};"
		done
	done
	say "$name: no suite of this machine's mirrors has it.$seen"
	return 1
}

# The server, its tools and the libraries under them, as the suite itself
# resolves them; what an installation would need beside that is left out.
packages() { # conf kind
	apt-get -c "$1" -s -q --no-install-recommends install "$2-server" "$2-tools" |
		sed -nE "s/^Inst ((lib|lua|zlib|$2)[^ ]*) .*/\1/p" |
		grep -vE '^lib(pam|perl|semanage|debconf)' | sort -u
}

launcher() { # out program
	local loader libs
	loader=$(cd "$1" && find root -path '*-linux-gnu/ld-linux*.so.*' | head -n 1)
	libs=$(cd "$1" && find root -type d -path '*lib/*-linux-gnu' ! -path '*/share/*' | sed "s#^#\$home/#" | paste -sd:)
	[ -n "$loader" ] || { say "no dynamic loader among the packages for $2"; return 1; }
	cat >"$1/bin/$2" <<-LAUNCHER
		#!/bin/sh
		# Runs the unpacked $2 with the C library that it was built for.
		self=\$(readlink -f -- "\$0")
		home=\${self%/bin/*}
		exec "\$home/$loader" --library-path "$libs" "\$home/root/usr/bin/$2" "\$@"
	LAUNCHER
	chmod +x "$1/bin/$2"
}

version_of() { # out kind
	"$1/bin/$2-server" --version | sed -nE 's/.* v=([^ ]+).*/\1/p'
}

unpack() { # name
	local name=$1 kind=${1%%-*} conf out=$work/$1 want deb tool
	find_suite "$name" || return 1
	mapfile -t want < <(packages "$conf" "$kind")
	[ ${#want[@]} -gt 0 ] || { say "$name: apt could not resolve $kind-server"; return 1; }
	mkdir -p "$out"/{bin,root,debs}
	cd "$out/debs"
	thrice "$name: downloading ${#want[@]} packages" apt-get -c "$conf" -q download "${want[@]}" || return 1
	for deb in ./*.deb; do dpkg-deb -x "$deb" "$out/root" || return 1; done
	cd "$dir"
	for tool in server cli benchmark; do launcher "$out" "$kind-$tool" || return 1; done
	fits "$(version_of "$out" "$kind")." "$name" || { say "$name: the unpacked server does not run or is another version"; return 1; }
	rm -rf "$out/debs" "${dir:?}/$name"
	mv "$out" "$dir/$name"
}

# The rename in unpack is the last thing done, so a launcher means a whole server.
present() { [ -x "$dir/$1/bin/${1%%-*}-server" ]; }

missing() { local name; for name in "${names[@]}"; do present "$name" || echo "$name"; done; }

# Other calls wait here. The lock goes with the process, however it ends, so
# what a killed call left in the work directory is nobody's and is removed.
take_lock() {
	local tool
	for tool in apt-get apt-cache dpkg-deb flock; do
		command -v "$tool" >/dev/null || die "$tool is not here; this needs a Debian machine with apt, dpkg and util-linux"
	done
	exec 9>"$dir/.lock" || die "cannot write $dir/.lock; as which user was $dir made?"
	flock -n 9 || { say "waiting for another call that unpacks into $dir"; flock -w 1800 9 || die "another call has held $dir/.lock for 30 minutes"; }
	work=$dir/.work
	rm -rf "$work"
	mkdir -p "$work/none/partial"
	trap 'cd /; rm -rf "$work"' EXIT
}

fetch() { # name...
	local name bad=()
	take_lock
	mirrors=$(mirrors)
	[ -n "$mirrors" ] || die "apt on this machine names no Debian mirror (see apt-get update --print-uris)"
	for name; do
		present "$name" && continue
		say "unpacking $name"
		(unpack "$name") || bad+=("$name")
	done
	[ ${#bad[@]} = 0 ] || die "failed: ${bad[*]}"
}

main() {
	local root name todo
	root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
	dir=${1:-$root/.servers}
	shift || true
	names=("$@")
	[ ${#names[@]} -gt 0 ] || names=("${all[@]}")
	for name in "${names[@]}"; do
		suites_of "$name" >/dev/null || { say "unknown server $name; known: ${all[*]}"; exit 2; }
	done
	mkdir -p "$dir" && dir=$(cd "$dir" && pwd) || die "cannot make $dir"
	mapfile -t todo < <(missing)
	[ ${#todo[@]} = 0 ] || fetch "${todo[@]}"
	for name in "${names[@]}"; do echo "$name $(version_of "$dir/$name" "${name%%-*}")"; done
}

main "$@"
