package cluster_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trib-dev/trib/pkg/cluster"
)

// TestInfoOfServers promises that INFO of the five servers is understood, on a
// master and on its replica.
func TestInfoOfServers(t *testing.T) {
	for _, dir := range serverDirs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			master := parseInfo(t, read(t, dir+"/info.txt"))
			checkServer(t, master, filepath.Base(dir))
			checkMasterInfo(t, master)
			replica := parseInfo(t, read(t, dir+"/info-replica.txt"))
			checkServer(t, replica, filepath.Base(dir))
			checkReplicaInfo(t, replica, master)
		})
	}
}

func parseInfo(t *testing.T, text string) cluster.Info {
	t.Helper()
	info, err := cluster.ParseInfo(text)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// checkServer expects what the directory is called after: redis-7.0.15.
func checkServer(t *testing.T, info cluster.Info, dir string) {
	t.Helper()
	s, err := info.Server()
	if want := strings.ReplaceAll(dir, "-", " "); err != nil || s.String() != want {
		t.Errorf("server %s, %v; want %s", s, err, want)
	}
	if len(info["run_id"]) != 40 || info["cluster_enabled"] != "1" {
		t.Errorf("run id %q, cluster_enabled %q", info["run_id"], info["cluster_enabled"])
	}
	dbs, err := info.Keyspace()
	if diff := cmp.Diff([]cluster.DBKeys{{DB: 0, Keys: 33}}, dbs); err != nil || diff != "" {
		t.Errorf("keyspace: %v (-want +got):\n%s", err, diff)
	}
	if n, err := info.Int("used_memory"); err != nil || n < 1<<20 {
		t.Errorf("used_memory %d, %v", n, err)
	}
}

func checkMasterInfo(t *testing.T, info cluster.Info) {
	t.Helper()
	r, err := info.Replication()
	if err != nil || r.Role != "master" || len(r.ID) != 40 || r.Offset == 0 || r.Loading {
		t.Errorf("%+v, %v", r, err)
	}
	if len(r.Replicas) != 1 || !r.Replicas[0].Online || !r.Replicas[0].Addr.Known() {
		t.Errorf("replicas %+v", r.Replicas)
	}
}

func checkReplicaInfo(t *testing.T, info, master cluster.Info) {
	t.Helper()
	r, err := info.Replication()
	m, merr := master.Replication()
	if err != nil || merr != nil || r.Role != "slave" || r.ID != m.ID || !r.LinkUp || r.Replicas != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Offset != m.Offset {
		t.Errorf("the replica was captured at offset %d, its master at %d", r.Offset, m.Offset)
	}
}

func TestParseInfo(t *testing.T) {
	tests := []struct {
		name, text string
		want       cluster.Info
		err        string
	}{
		{"CRLF", "# A\r\na:1\r\n\r\n# B\r\nb:x:y\r\n", cluster.Info{"a": "1", "b": "x:y"}, ""},
		{"LF and no end of line", "a:1\nb:", cluster.Info{"a": "1", "b": ""}, ""},
		{"the last one counts", "a:1\na:2", cluster.Info{"a": "2"}, ""},
		{"empty", "", nil, "no fields"},
		{"only headings", "# Server\r\n\r\n# Keyspace\r\n", nil, "no fields"},
		{"a line without colon", "a:1\r\nredis_ver", nil, "want name:value"},
		{"a field without name", ":1", nil, "want name:value"},
		{"an error in its place", "ERR unknown command", nil, "want name:value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := cluster.ParseInfo(tt.text)
			checkError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// checkError expects an error that contains want; none, where want is empty.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestInfoInt(t *testing.T) {
	info := cluster.Info{"n": "-3", "big": "9223372036854775807", "over": "9223372036854775808", "word": "yes", "empty": ""}
	tests := []struct {
		name, field string
		want        int64
		err         string
	}{
		{"negative", "n", -3, ""},
		{"largest", "big", 1<<63 - 1, ""},
		{"too large", "over", 0, "not a number"},
		{"a word", "word", 0, "not a number"},
		{"empty", "empty", 0, "not a number"},
		{"absent is not zero", "none", 0, `no field "none"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := info.Int(tt.field)
			checkError(t, err, tt.err)
			if got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestServer(t *testing.T) {
	tests := []struct {
		name string
		info cluster.Info
		want cluster.Server
		err  string
	}{
		{"redis", cluster.Info{"redis_version": "7.0.15"}, cluster.Server{Flavor: "redis", Version: "7.0.15"}, ""},
		{"valkey says both", cluster.Info{"redis_version": "7.2.4", "valkey_version": "9.1.2"}, cluster.Server{Flavor: "valkey", Version: "9.1.2"}, ""},
		{"neither", cluster.Info{"version": "1"}, cluster.Server{}, "neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.info.Server()
			checkError(t, err, tt.err)
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestServerAtLeast promises that versions compare as numbers, that flavors do
// not mix, and that an unreadable version is none.
func TestServerAtLeast(t *testing.T) {
	tests := []struct {
		name         string
		server       cluster.Server
		flavor       string
		major, minor int
		want         bool
	}{
		{"same", cluster.Server{Flavor: "redis", Version: "7.0.15"}, "redis", 7, 0, true},
		{"two digits", cluster.Server{Flavor: "redis", Version: "7.10.1"}, "redis", 7, 2, true},
		{"older minor", cluster.Server{Flavor: "redis", Version: "7.0.15"}, "redis", 7, 2, false},
		{"newer major, older minor", cluster.Server{Flavor: "redis", Version: "8.0.2"}, "redis", 7, 4, true},
		{"older major, newer minor", cluster.Server{Flavor: "redis", Version: "6.2.14"}, "redis", 7, 0, false},
		{"without patch", cluster.Server{Flavor: "valkey", Version: "9.1"}, "valkey", 9, 1, true},
		{"pre-release", cluster.Server{Flavor: "valkey", Version: "9.0.0-rc1"}, "valkey", 9, 0, true},
		{"other flavor", cluster.Server{Flavor: "redis", Version: "8.0.2"}, "valkey", 8, 0, false},
		{"no version", cluster.Server{Flavor: "redis"}, "redis", 0, 0, false},
		{"no number", cluster.Server{Flavor: "redis", Version: "unstable.1"}, "redis", 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.server.AtLeast(tt.flavor, tt.major, tt.minor); got != tt.want {
				t.Errorf("%s at least %s %d.%d: %v", tt.server, tt.flavor, tt.major, tt.minor, got)
			}
		})
	}
}

func TestKeyspace(t *testing.T) {
	tests := []struct {
		name string
		info cluster.Info
		want []cluster.DBKeys
		err  string
	}{
		{"no keys", cluster.Info{"role": "master"}, nil, ""},
		{
			"sorted by number",
			cluster.Info{"db10": "keys=1", "db2": "keys=5,expires=1,avg_ttl=0", "db0": "keys=3,expires=0"},
			[]cluster.DBKeys{{0, 3}, {2, 5}, {10, 1}},
			"",
		},
		{
			"fields of newer servers",
			cluster.Info{"db0": "keys=3,subexpiry=0,new=x", "db0_distrib_strings_sizes": "4=33", "dbx": "y", "db": "z"},
			[]cluster.DBKeys{{0, 3}},
			"",
		},
		{"no count", cluster.Info{"db0": "expires=0"}, nil, "no keys="},
		{"count is no number", cluster.Info{"db0": "keys=many"}, nil, "keys="},
		{"negative count", cluster.Info{"db0": "keys=-1"}, nil, "keys="},
		{"database out of range", cluster.Info{"db99999999999": "keys=1"}, nil, "number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.info.Keyspace()
			checkError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplication(t *testing.T) {
	tests := []struct {
		name string
		info cluster.Info
		want cluster.Replication
		err  string
	}{
		{
			"master with replicas in two states",
			cluster.Info{
				"role": "master", "master_replid": "x", "master_repl_offset": "100", "loading": "0",
				"slave0": "ip=10.0.0.2,port=7000,state=online,offset=90,lag=7",
				"slave1": "ip=::1,port=7001,state=wait_bgsave,offset=0,lag=0,type=replica",
				"slave3": "ip=10.0.0.9,port=1,state=online,offset=1",
			},
			cluster.Replication{Role: "master", ID: "x", Offset: 100, Replicas: []cluster.ReplicaOffset{
				{Addr: cluster.Addr{Host: "10.0.0.2", Port: 7000}, Online: true, Offset: 90, Lag: 7},
				{Addr: cluster.Addr{Host: "::1", Port: 7001}},
			}},
			"",
		},
		{
			"a replica's own offset decides",
			cluster.Info{"role": "slave", "master_link_status": "up", "slave_repl_offset": "80", "master_repl_offset": "70"},
			cluster.Replication{Role: "slave", Offset: 80, LinkUp: true},
			"",
		},
		{
			"a replica that has not synced",
			cluster.Info{"role": "slave", "master_link_status": "down", "master_sync_in_progress": "1", "master_repl_offset": "0", "loading": "1"},
			cluster.Replication{Role: "slave", Syncing: true, Loading: true},
			"",
		},
		{
			"a replica that lost its link",
			cluster.Info{"role": "slave", "master_link_status": "down", "master_repl_offset": "7", "master_link_down_since_seconds": "300"},
			cluster.Replication{Role: "slave", Offset: 7, DownFor: 300},
			"",
		},
		{
			"a replica that never had one",
			cluster.Info{"role": "slave", "master_link_status": "down", "master_repl_offset": "7", "master_link_down_since_seconds": "-1"},
			cluster.Replication{Role: "slave", Offset: 7, NoLink: true},
			"",
		},
		{
			"a replica that never had one, on Redis 6",
			cluster.Info{"role": "slave", "master_link_status": "down", "master_repl_offset": "7", "master_link_down_since_seconds": "1795365533"},
			cluster.Replication{Role: "slave", Offset: 7, NoLink: true},
			"",
		},
		{"no role", cluster.Info{"master_repl_offset": "0"}, cluster.Replication{}, "role"},
		{"unknown role", cluster.Info{"role": "sentinel", "master_repl_offset": "0"}, cluster.Replication{}, "role"},
		{"no offset", cluster.Info{"role": "master"}, cluster.Replication{}, "master_repl_offset"},
		{"offset is no number", cluster.Info{"role": "master", "master_repl_offset": "x"}, cluster.Replication{}, "not a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.info.Replication()
			checkError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReplicationRefusesReplicas promises that an unreadable replica is not
// taken for one with offset 0.
func TestReplicationRefusesReplicas(t *testing.T) {
	for _, line := range []string{"ip=a,port=x,state=online", "ip=a,port=1,offset=x", "ip=a,port=1,lag=x", "ip=a,port=-1", "ip=a,port=1,offset=", "ip=a,port="} {
		_, err := cluster.Info{"role": "master", "master_repl_offset": "1", "slave0": line}.Replication()
		checkError(t, err, "INFO slave0")
	}
}

// FuzzParseInfo promises that no INFO makes a reader panic, and that what was
// read is within its bounds.
func FuzzParseInfo(f *testing.F) {
	for _, dir := range serverDirs(f) {
		f.Add(read(f, dir+"/info.txt"))
		f.Add(read(f, dir+"/info-replica.txt"))
	}
	f.Add("role:master\nmaster_repl_offset:1\nslave0:ip=a,port=1,state=online,offset=-1\ndb7:keys=3")
	f.Fuzz(func(t *testing.T, in string) {
		info, err := cluster.ParseInfo(in)
		if err != nil {
			if info != nil {
				t.Error("fields came with an error")
			}
			return
		}
		if len(info) == 0 || len(info) > len(in) {
			t.Errorf("%d fields from %d bytes", len(info), len(in))
		}
		if s, err := info.Server(); err == nil {
			s.AtLeast(s.Flavor, 7, 0)
		}
		dbs, err := info.Keyspace()
		for i, db := range dbs {
			if err != nil || db.Keys < 0 || db.DB < 0 || i > 0 && db.DB < dbs[i-1].DB {
				t.Errorf("keyspace %+v, %v", dbs, err)
			}
		}
		r, err := info.Replication()
		if err == nil && r.Role != "master" && r.Role != "slave" || len(r.Replicas) > len(info) {
			t.Errorf("replication %+v", r)
		}
		info.Int("used_memory")
	})
}
