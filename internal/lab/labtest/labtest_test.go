package labtest

import (
	"strings"
	"testing"
	"time"
)

func TestFormOnEveryServer(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			l := Start(t, Options{Server: name, Nodes: 6})
			begin := time.Now()
			c := Form(t, l, 3, 3)
			t.Logf("%s formed 3+3 in %v", c.Masters[0].Server().Version, time.Since(begin).Round(10*time.Millisecond))
			for _, m := range c.Members() {
				if m.Server().Name() != name {
					t.Errorf("%s runs %s", m.Addr(), m.Server().Name())
				}
			}
			client := l.Client()
			defer client.Close()
			for _, key := range []string{"a", "b", "c", "\x00\r\n\xff"} {
				if r := client.Do(t.Context(), key, "SET", key, "v"+key); r.Outcome != Acknowledged {
					t.Errorf("SET %q: %+v", key, r)
				}
				r := client.Do(t.Context(), key, "GET", key)
				if r.Reply != "v"+key || r.Addr != c.Owner(Slot(key)).Addr() {
					t.Errorf("GET %q: %+v", key, r)
				}
			}
		})
	}
}

func TestFormWithPasswordAndSpare(t *testing.T) {
	l := Start(t, Options{Nodes: 4, Password: `pa"ss \word`})
	c := Form(t, l, 1, 2)
	if got := l.Text(t, l.Nodes()[3], "CLUSTER", "INFO"); !strings.Contains(got, "cluster_known_nodes:1\r\n") {
		t.Errorf("the spare server has met others:\n%s", got)
	}
	for _, replica := range c.Replicas {
		if replica.Master != c.Masters[0] {
			t.Errorf("%s replicates %v", replica.Addr(), replica.Master)
		}
	}
}

func TestMix(t *testing.T) {
	l := Start(t, Options{Mix: []string{"redis-7.0", "valkey-9.1"}, Nodes: 2})
	kinds := map[string]bool{}
	for _, n := range l.Nodes() {
		kinds[n.Server().Kind] = true
	}
	if !kinds["redis"] || !kinds["valkey"] {
		t.Errorf("got %v", kinds)
	}
	Form(t, l, 2, 0)
}

func TestMissingServerSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := find(t.Context(), t.TempDir(), "redis-7.0")
	if err == nil || !strings.Contains(err.Error(), "make servers") {
		t.Errorf("error without the hint: %v", err)
	}
}

func TestSlotAsTheServerComputesIt(t *testing.T) {
	l := Start(t, Options{Nodes: 1})
	conn := l.Dial(t, l.Nodes()[0])
	keys := []string{"", "123456789", "{foo}bar", "a{foo}", "{}foo", "a{b{c}d}", "a}{b}", "{", "{}", "{{}", "\x00\xff{\r\n}"}
	for i := range 500 {
		keys = append(keys, strings.Repeat(string(rune(i*37)), i%9)+"{"+string(rune(i))+"}x")
	}
	for _, key := range keys {
		want, err := conn.Do("CLUSTER", "KEYSLOT", key)
		if got := Slot(key); err != nil || int64(got) != want {
			t.Errorf("Slot(%q) = %d, the server says %v, %v", key, got, want, err)
		}
	}
}
