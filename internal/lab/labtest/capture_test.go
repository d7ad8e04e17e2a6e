//go:build capture

package labtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trib-dev/trib/internal/lab"
)

// TestCapture writes testdata/nodes anew: what each server really answers to
// CLUSTER NODES in the situations that a parser must understand, and to INFO.
// It is run by `make capture`, not with the other tests.
func TestCapture(t *testing.T) {
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			server := Server(t, name)
			dir := filepath.Join(root, "testdata", "nodes", server.Kind+"-"+server.Version)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			r := recorder{server: name, dir: dir}
			t.Run("formed", r.formed)
			t.Run("small", r.small)
			t.Run("ipv6", r.ipv6)
		})
	}
}

type recorder struct{ server, dir string }

func (r recorder) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, file), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// nodes writes CLUSTER NODES as soon as it matches every pattern.
func (r recorder) nodes(t *testing.T, l *Lab, n *lab.Node, kind string, patterns ...string) {
	t.Helper()
	var text string
	Await(t, 30*time.Second, kind, func() error {
		text = l.Text(t, n, "CLUSTER", "NODES")
		for _, pattern := range patterns {
			if !regexp.MustCompile("(?m)" + pattern).MatchString(text) {
				return fmt.Errorf("no %s in\n%s", pattern, text)
			}
		}
		return nil
	})
	r.write(t, "nodes-"+kind+".txt", text)
}

// info writes INFO without what belongs to this machine.
func (r recorder) info(t *testing.T, l *Lab, n *lab.Node, file string) {
	t.Helper()
	text := l.Text(t, n, "INFO")
	for field, neutral := range map[string]string{
		"executable":  "/usr/bin/" + n.Server().Kind + "-server",
		"config_file": "/etc/server.conf",
		"os":          "Linux 6.1.0 x86_64",
	} {
		text = regexp.MustCompile(`(?m)^`+field+`:[^\r]*`).ReplaceAllString(text, field+":"+neutral)
	}
	r.write(t, file, text)
}

// formed goes from good order to worse: the last step leaves no majority.
func (r recorder) formed(t *testing.T) {
	c := Form(t, Start(t, Options{Server: r.server, Nodes: 6}), 3, 3)
	first, second, third := c.Masters[0], c.Masters[1], c.Masters[2]
	fill(t, c)
	r.nodes(t, c.Lab, first.Node, "formed", "myself,master")
	r.nodes(t, c.Lab, c.Replicas[0].Node, "formed-replica", "myself,slave")
	r.info(t, c.Lab, first.Node, "info.txt")
	r.info(t, c.Lab, c.Replicas[0].Node, "info-replica.txt")

	r.open(t, c, first, second)
	c.Do(t, first.Node, "CLUSTER", "DELSLOTS", "7", "9", "100")
	r.nodes(t, c.Lab, first.Node, "fragmented", " 0-6 8 10-99 101-5460")
	c.Do(t, first.Node, "CLUSTER", "ADDSLOTS", "7", "9", "100")

	kill(t, third, c.Replicas[1])
	r.nodes(t, c.Lab, first.Node, "fail", "^"+third.ID+" .* master,fail ", "^"+c.Replicas[1].ID+" .* slave,fail ")
	heir := c.Replicas[2]
	r.nodes(t, c.Lab, first.Node, "failed-over", "^"+heir.ID+" .* master - .* 10922-16383")
	kill(t, second, heir)
	r.nodes(t, c.Lab, first.Node, "pfail", "^"+second.ID+" .* master,fail\\? ", "^"+heir.ID+" .* master,fail\\? ")
}

// fill leaves INFO something to say about keys.
func fill(t *testing.T, c *Cluster) {
	client := c.Client()
	defer client.Close()
	for i := range 100 {
		key := "key:" + strconv.Itoa(i)
		command := []string{"SET", key, "value"}
		if i%10 == 0 {
			command = append(command, "EX", "3600")
		}
		if r := client.Do(t.Context(), key, command...); r.Outcome != Acknowledged {
			t.Fatalf("%s: %v", key, r.Err)
		}
	}
}

func (r recorder) open(t *testing.T, c *Cluster, source, target *Member) {
	slots := []int{source.First, source.Last}
	for _, slot := range slots {
		c.Do(t, target.Node, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "IMPORTING", source.ID)
		c.Do(t, source.Node, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "MIGRATING", target.ID)
	}
	r.nodes(t, c.Lab, source.Node, "open-source", `\[0->-`+target.ID)
	r.nodes(t, c.Lab, target.Node, "open-target", `\[0-<-`+source.ID)
	for _, slot := range slots {
		c.Do(t, source.Node, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "STABLE")
		c.Do(t, target.Node, "CLUSTER", "SETSLOT", strconv.Itoa(slot), "STABLE")
	}
}

func kill(t *testing.T, members ...*Member) {
	t.Helper()
	for _, m := range members {
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}

// small needs few servers: one that is alone, and three that meet.
func (r recorder) small(t *testing.T) {
	l := Start(t, Options{Server: r.server, Nodes: 4})
	nodes := l.Nodes()
	r.nodes(t, l, nodes[3], "fresh", "^[0-9a-f]{40} :[0-9]+@")
	c := Form(t, l, 3, 0)
	if r.server != "redis-6.0" {
		r.hostnames(t, c)
	}
	// The last server meets a port on which nobody listens.
	dead := c.Masters[2]
	kill(t, dead)
	l.Do(t, nodes[3], "CLUSTER", "MEET", dead.Host(), strconv.Itoa(dead.Port()))
	r.nodes(t, l, nodes[3], "handshake", " handshake ")
	if err := dead.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.noaddr(t, c, dead)
}

// hostnames has two servers with a name and one without.
func (r recorder) hostnames(t *testing.T, c *Cluster) {
	for i, m := range c.Masters[:2] {
		c.Do(t, m.Node, "CONFIG", "SET", "cluster-announce-hostname", fmt.Sprintf("node-%d.example.com", i+1))
	}
	r.nodes(t, c.Lab, c.Masters[0].Node, "hostname", `,node-1\.example\.com`, `,node-2\.example\.com`)
}

// noaddr: a server that took a new id answers where the old one is expected, so
// that nobody knows the address of the old one any more.
func (r recorder) noaddr(t *testing.T, c *Cluster, m *Member) {
	c.Do(t, m.Node, "CLUSTER", "RESET", "HARD")
	r.nodes(t, c.Lab, c.Masters[0].Node, "noaddr", "^"+m.ID+" .*noaddr")
}

func (r recorder) ipv6(t *testing.T) {
	c := Form(t, Start(t, Options{Server: r.server, Nodes: 2, Host: "::1"}), 1, 1)
	r.nodes(t, c.Lab, c.Masters[0].Node, "ipv6", "::1:")
	if strings.Contains(c.Masters[0].Addr(), "127.0.0.1") {
		t.Error("the lab is not on ::1")
	}
}
