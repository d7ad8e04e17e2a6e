package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Info is the reply to INFO or CLUSTER INFO: field name to value.
type Info map[string]string

// ParseInfo reads "name:value" lines; '#' begins a section heading. A reply
// without a single field is an error, so that a truncated answer is never
// taken for one that has nothing to say.
func ParseInfo(text string) (Info, error) {
	info := make(Info, strings.Count(text, ":"))
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("INFO line %q: want name:value", clip(line))
		}
		info[name] = value
	}
	if len(info) == 0 {
		return nil, fmt.Errorf("INFO: no fields")
	}
	return info, nil
}

// Int reads a field as a whole number.
func (i Info) Int(name string) (int64, error) {
	value, ok := i[name]
	if !ok {
		return 0, fmt.Errorf("INFO has no field %q", name)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("INFO field %s: %q is not a number", name, clip(value))
	}
	return n, nil
}

// Server says what a node runs.
type Server struct {
	Flavor  string `json:"flavor"`  // "redis" or "valkey"
	Version string `json:"version"` // of that flavor, e.g. "7.0.15"
}

// Server reads the server section. Valkey reports a redis_version too, for the
// sake of old clients; valkey_version decides.
func (i Info) Server() (Server, error) {
	if v, ok := i["valkey_version"]; ok {
		return Server{"valkey", v}, nil
	}
	if v, ok := i["redis_version"]; ok {
		return Server{"redis", v}, nil
	}
	return Server{}, fmt.Errorf("INFO has neither redis_version nor valkey_version")
}

// AtLeast reports whether the server is of the flavor, and its version is
// major.minor or later. An unreadable version is none.
func (s Server) AtLeast(flavor string, major, minor int) bool {
	if s.Flavor != flavor {
		return false
	}
	parts := strings.SplitN(s.Version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}

// DumpVersion is the version of the serialised form in which the server hands
// out values (DUMP, MIGRATE); 0 where it is not known.
func (s Server) DumpVersion() int {
	for _, v := range []struct {
		flavor       string
		major, minor int
		dump         int
	}{
		{"valkey", 9, 0, 80},
		{"valkey", 7, 2, 11},
		{"redis", 8, 2, 0}, // not known yet
		{"redis", 7, 4, 12},
		{"redis", 7, 2, 11},
		{"redis", 7, 0, 10},
		{"redis", 5, 0, 9},
	} {
		if s.AtLeast(v.flavor, v.major, v.minor) {
			return v.dump
		}
	}
	return 0
}

// Restores reports whether the server can take values that the other one hands
// out. Where that is not known, it is assumed. Valkey 9 left Redis's numbers, and
// refuses those that Redis gave out after version 11.
func (s Server) Restores(from Server) bool {
	return s.Reads(from.DumpVersion())
}

// Reads reports whether the server takes values and files of a version, 0 where
// that is not known.
func (s Server) Reads(theirs int) bool {
	ours := s.DumpVersion()
	if theirs == 0 || ours == 0 {
		return true
	}
	return theirs <= ours && !(ours >= 80 && theirs > 11 && theirs < 80)
}

// String is "redis 7.0.15".
func (s Server) String() string { return strings.TrimSpace(s.Flavor + " " + s.Version) }

// DBKeys is the number of keys in one database.
type DBKeys struct {
	DB   int   `json:"db"`
	Keys int64 `json:"keys"`
}

// Keyspace reads the databases that hold keys, in order of their number.
func (i Info) Keyspace() ([]DBKeys, error) {
	var dbs []DBKeys
	for name, value := range i {
		number, ok := strings.CutPrefix(name, "db")
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		db, err := parseDBKeys(number, value)
		if err != nil {
			return nil, fmt.Errorf("INFO keyspace %s:%s: %w", clip(name), clip(value), err)
		}
		dbs = append(dbs, db)
	}
	slices.SortFunc(dbs, func(a, b DBKeys) int { return cmp.Compare(a.DB, b.DB) })
	return dbs, nil
}

// parseDBKeys reads "keys=3,expires=0,avg_ttl=0" and what newer servers add.
func parseDBKeys(number, value string) (DBKeys, error) {
	db, err := parseNumber(number, 1<<30)
	if err != nil {
		return DBKeys{}, err
	}
	for part := range strings.SplitSeq(value, ",") {
		if count, ok := strings.CutPrefix(part, "keys="); ok {
			keys, err := strconv.ParseInt(count, 10, 64)
			if err != nil || keys < 0 {
				return DBKeys{}, fmt.Errorf("keys=%q", clip(count))
			}
			return DBKeys{db, keys}, nil
		}
	}
	return DBKeys{}, fmt.Errorf("no keys=")
}

// Replication is a node's replication section.
type Replication struct {
	Role     string          // "master" or "slave"
	ID       string          // of the history that offsets count in
	Offset   int64           // a master's own offset, or how far a replica has applied
	LinkUp   bool            // a replica's link to its master
	NoLink   bool            // a replica has had no link to its master since it was started or got that master
	DownFor  int64           // seconds for which a replica has had no link to its master; 0 where it has one, or never had
	Syncing  bool            // a replica copies all of its master's data now
	Loading  bool            // the node reads its data from disk or from its master
	Replicas []ReplicaOffset // as a master sees them
}

// ReplicaOffset is how far one replica has acknowledged.
type ReplicaOffset struct {
	Addr   Addr
	Online bool
	Offset int64
	Lag    int64 // seconds since it acknowledged anything
}

// Replication reads the replication section.
func (i Info) Replication() (Replication, error) {
	r := Replication{
		Role: i["role"], ID: i["master_replid"], LinkUp: i["master_link_status"] == "up", Syncing: i["master_sync_in_progress"] == "1", Loading: i["loading"] == "1",
	}
	if r.Role != "master" && r.Role != "slave" {
		return Replication{}, fmt.Errorf("INFO role %q", clip(r.Role))
	}
	name := "master_repl_offset"
	if _, ok := i["slave_repl_offset"]; ok && r.Role == "slave" {
		name = "slave_repl_offset"
	}
	var err error
	if r.Offset, err = i.Int(name); err != nil {
		return Replication{}, err
	}
	if r.Role == "slave" {
		r.DownFor, r.NoLink = i.linkDown()
	}
	r.Replicas, err = i.replicas()
	return r, err
}

// linkDown is for how many seconds a link has been down, or that there never was
// one: servers before Redis 7 count from 1970 then.
func (i Info) linkDown() (seconds int64, never bool) {
	const decades = 1_000_000_000 // seconds
	down, err := i.Int("master_link_down_since_seconds")
	if err != nil || down < 0 || down > decades {
		return 0, err == nil
	}
	return down, false
}

// replicas reads slave0, slave1, ...: ip=...,port=...,state=online,offset=...
func (i Info) replicas() ([]ReplicaOffset, error) {
	var replicas []ReplicaOffset
	for n := 0; ; n++ {
		line, ok := i["slave"+strconv.Itoa(n)]
		if !ok {
			return replicas, nil
		}
		r, err := parseReplica(line)
		if err != nil {
			return nil, fmt.Errorf("INFO slave%d:%s: %w", n, clip(line), err)
		}
		replicas = append(replicas, r)
	}
}

func parseReplica(line string) (ReplicaOffset, error) {
	var r ReplicaOffset
	for part := range strings.SplitSeq(line, ",") {
		name, value, _ := strings.Cut(part, "=")
		var err error
		switch name {
		case "ip":
			r.Addr.Host = value
		case "port":
			r.Addr.Port, err = parsePortOrZero(value)
		case "state":
			r.Online = value == "online"
		case "offset":
			r.Offset, err = strconv.ParseInt(value, 10, 64)
		case "lag":
			r.Lag, err = strconv.ParseInt(value, 10, 64)
		}
		if err != nil {
			return ReplicaOffset{}, fmt.Errorf("%s=%q", name, clip(value))
		}
	}
	return r, nil
}
