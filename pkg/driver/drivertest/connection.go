package drivertest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// adder appends a case to the suite.
type adder func(name string, run func(*suite)) *Case

// connectionCases are about one connection that works.
func connectionCases(add adder) {
	add("pipeline keeps order and length", pipelineOrder)
	add("empty pipeline", emptyPipeline)
	add("a refused command does not disturb the others", errorsInPipeline)
	add("keys and values are binary safe", binarySafe)
	add("shapes of replies", replyShapes)
	add("errors inside lists", nestedErrors)
	add("done context sends and breaks nothing", doneContext)
	add("names are seen by others", namesAreVisible)
	add("a refused name fails the dial", badName)
	add("wrong password", wrongPassword)
	add("close twice", closeTwice)
	add("server texts parse", serverTexts)
}

func pipelineOrder(s *suite) {
	c := s.open(0)
	var cmds []driver.Command
	for i := range 500 {
		cmds = append(cmds, driver.Cmd("PING", fmt.Sprint(i)))
	}
	replies, err := c.Do(context.Background(), cmds...)
	if err != nil || len(replies) != len(cmds) {
		s.Fatalf("%d replies, error %v", len(replies), err)
	}
	for i, r := range replies {
		if got, _ := r.Text(); got != fmt.Sprint(i) {
			s.Fatalf("reply %d is %q", i, got)
		}
	}
}

func emptyPipeline(s *suite) {
	c := s.open(0)
	if replies, err := c.Do(context.Background()); err != nil || len(replies) != 0 {
		s.Errorf("no commands: %v, %v", replies, err)
	}
	s.call(c, "PING")
}

func errorsInPipeline(s *suite) {
	c := s.open(0)
	replies, err := c.Do(context.Background(), driver.Cmd("PING", "a"), driver.Cmd("GET"), driver.Cmd("PING", "b"),
		driver.Cmd("NOSUCHCOMMAND", "x"), driver.Cmd("CLUSTER", "NOSUCH"), driver.Cmd("PING", "c"))
	if err != nil || len(replies) != 6 {
		s.Fatalf("%d replies, error %v", len(replies), err)
	}
	for i, want := range []string{"a", "", "b", "", "", "c"} {
		got, err := replies[i].Text()
		if want == "" && !driver.HasCode(err, "ERR") {
			s.Errorf("reply %d: error %v, want one of the server's", i, err)
		}
		if got != want {
			s.Errorf("reply %d is %q, want %q", i, got, want)
		}
	}
}

func binarySafe(s *suite) {
	p := s.pair()
	for i, value := range []string{"", "a\x00b", "a\r\nb", "\r\n", "$3\r\nfoo\r\n", "\xff\xfe\x80", "*1\r\n", strings.Repeat("x", 1<<17)} {
		key := p.key(fmt.Sprint(i) + value[:min(len(value), 20)])
		s.call(p.a, "SET", key, value)
		if got := s.text(p.a, "GET", key); got != value {
			s.Errorf("value %.20q came back as %.20q", value, got)
		}
		dump := s.text(p.a, "DUMP", key)
		s.call(p.a, "RESTORE", key, "0", dump, "REPLACE")
		if got := s.text(p.a, "GET", key); got != value {
			s.Errorf("value %.20q came back from DUMP as %.20q", value, got)
		}
	}
	keys, err := s.call(p.a, "CLUSTER", "GETKEYSINSLOT", p.number(), "100").Strings()
	if err != nil || len(keys) != 8 {
		s.Errorf("keys %q, %v", keys, err)
	}
	for _, key := range keys {
		if s.int(p.a, "DEL", key) != 1 {
			s.Errorf("key %q cannot be deleted", key)
		}
	}
}

func replyShapes(s *suite) {
	p := s.pair()
	list, text := p.key("list"), p.key("text")
	s.call(p.a, "RPUSH", list, "1", "two")
	s.call(p.a, "SET", text, "12")
	for _, c := range []struct {
		args []string
		want any
	}{
		{[]string{"PING"}, "PONG"},
		{[]string{"GET", text}, "12"},
		{[]string{"GET", p.key("none")}, nil},
		{[]string{"EXISTS", text}, int64(1)},
		{[]string{"LRANGE", list, "0", "-1"}, []any{"1", "two"}},
		{[]string{"LRANGE", p.key("none"), "0", "-1"}, []any{}},
		{[]string{"PTTL", p.key("none")}, int64(-2)},
		{[]string{"TYPE", list}, "list"},
		{[]string{"DUMP", p.key("none")}, nil},
		{[]string{"COMMAND", "INFO", "nosuchcommand"}, []any{nil}},
	} {
		if got := s.call(p.a, c.args...).Value; !reflect.DeepEqual(got, c.want) {
			s.Errorf("%q: %#v, want %#v", c.args, got, c.want)
		}
	}
	role, ok := s.call(p.a, "ROLE").Value.([]any)
	if !ok || len(role) != 3 || role[0] != "master" {
		s.Fatalf("ROLE: %#v", role)
	}
	if _, ok := role[1].(int64); !ok {
		s.Errorf("ROLE: offset %#v", role[1])
	}
	if _, ok := role[2].([]any); !ok {
		s.Errorf("ROLE: replicas %#v", role[2])
	}
	s.call(p.a, "DEL", list, text)
}

func nestedErrors(s *suite) {
	p := s.pair()
	key := p.key("text")
	replies, err := p.a.Do(context.Background(), driver.Cmd("MULTI"), driver.Cmd("SET", key, "v"),
		driver.Cmd("RPUSH", key, "x"), driver.Cmd("DEL", key), driver.Cmd("EXEC"))
	if err != nil {
		s.Fatal(err)
	}
	last := replies[len(replies)-1]
	items, ok := last.Value.([]any)
	if last.Err != nil || !ok || len(items) != 3 {
		s.Fatalf("EXEC: %#v, %v", last.Value, last.Err)
	}
	var se *driver.ServerError
	if err, ok := items[1].(error); !ok || !errors.As(err, &se) || se.Code() != "WRONGTYPE" {
		s.Errorf("the refused command of a transaction: %#v", items[1])
	}
	if items[0] != "OK" || items[2] != int64(1) {
		s.Errorf("EXEC: %#v", items)
	}
}

func doneContext(s *suite) {
	p := s.pair()
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(reason)
	replies, err := p.a.Do(ctx, driver.Cmd("SET", p.key("x"), "1"))
	if !errors.Is(err, reason) || len(replies) != 0 {
		s.Errorf("done context: %v, %v; want its cause", replies, err)
	}
	if driver.IsTransport(err) {
		s.Errorf("%v claims that the outcome is unknown", err)
	}
	if n := s.int(p.a, "EXISTS", p.key("x")); n != 0 {
		s.Error("the command was sent")
	}
}

func namesAreVisible(s *suite) {
	watcher := s.open(0)
	c := s.openNamed(0, "trib:contract")
	if got := s.text(c, "CLIENT", "GETNAME"); got != "trib:contract" {
		s.Errorf("name %q", got)
	}
	if list := s.text(watcher, "CLIENT", "LIST"); !strings.Contains(list, " name=trib:contract ") {
		s.Errorf("CLIENT LIST does not show it: %s", list)
	}
	c.Close()
	s.eventually("the name goes with the connection", func() bool {
		return !strings.Contains(s.text(watcher, "CLIENT", "LIST"), "trib:contract")
	})
}

func badName(s *suite) {
	c, err := s.Dialer.Dial(context.Background(), s.Nodes[0].Addr, "two words")
	if err == nil {
		c.Close()
		s.Error("a name that the server refuses did not fail the dial")
	}
}

func wrongPassword(s *suite) {
	if s.Intruder == nil {
		s.Skip("the cluster has no password")
	}
	_, err := s.Intruder.Dial(context.Background(), s.Nodes[0].Addr, "")
	var ae *driver.AuthError
	if !errors.As(err, &ae) || ae.Addr != s.Nodes[0].Addr || !strings.Contains(err.Error(), ae.Addr.String()) {
		s.Errorf("error %v (%T), want a *driver.AuthError that names the node", err, err)
	}
}

func closeTwice(s *suite) {
	c := s.open(0)
	if err := c.Close(); err != nil {
		s.Error(err)
	}
	c.Close()
	if _, err := c.Do(context.Background(), driver.Cmd("PING")); err == nil {
		s.Error("a closed connection answers")
	}
}

func serverTexts(s *suite) {
	c := s.open(0)
	info, err := cluster.ParseInfo(s.text(c, "INFO"))
	if err != nil {
		s.Fatal(err)
	}
	if _, err := info.Server(); err != nil {
		s.Error(err)
	}
	if r, err := info.Replication(); err != nil || r.Role != "master" {
		s.Errorf("replication %+v, %v", r, err)
	}
	if _, err := info.Keyspace(); err != nil {
		s.Error(err)
	}
	for _, field := range []string{"used_memory", "maxmemory"} {
		if _, err := info.Int(field); err != nil {
			s.Error(err)
		}
	}
	if info["run_id"] == "" {
		s.Error("no run_id")
	}
	if _, err := cluster.ParseInfo(s.text(c, "CLUSTER", "INFO")); err != nil {
		s.Error(err)
	}
}
