package cli

import (
	"testing"

	"github.com/trib-dev/trib/internal/sim"
	"github.com/trib-dev/trib/pkg/cluster"
)

func TestMemberSessions(t *testing.T) {
	for name, lines := range map[string][]string{
		"add-node.txt": {
			"add-node 127.0.0.1:7007 127.0.0.1:7001 --dry-run",
			"add-node 127.0.0.1:7007 127.0.0.1:7001",
			"--cluster add-node 127.0.0.1:7007 127.0.0.1:7001 --cluster-yes",
			"add-node 127.0.0.1:7007 127.0.0.1:7001 --yes",
			"--cluster add-node 127.0.0.1:7008 127.0.0.1:7001 --cluster-slave --cluster-master-id 127.0.0.1:7002 --yes",
			"add-node 127.0.0.1:7009 127.0.0.1:7001 --cluster-replica --zone 127.0.0.1=east --yes --wait=joined",
			"add-node 127.0.0.1:7001 127.0.0.1:7002 --replica --yes",
			"add-node 127.0.0.1:7010 127.0.0.1:7002 --yes",
			"add-node 127.0.0.1:7011 127.0.0.1:7002 --replica --master-id 127.0.0.1:7004 --yes",
			"add-node 127.0.0.1:7011 127.0.0.1:7012 127.0.0.1:7013 127.0.0.1:7002 --yes",
			"add-node 127.0.0.1:7011 127.0.0.1:7002 --replica --master-id 127.0.0.1:7099 --yes",
			"add-node 127.0.0.1:7099 127.0.0.1:7002 --yes",
			"add-node 127.0.0.1:7011 127.0.0.1:7012 --yes",
		},
		"del-node.txt": {
			"del-node 127.0.0.1:7001 127.0.0.1:7004 --dry-run",
			"del-node 127.0.0.1:7001 127.0.0.1:7004 --yes",
			"del-node 127.0.0.1:7001 127.0.0.1:7004 --yes",
			"del-node 127.0.0.1:7001 127.0.0.1:7099 --yes",
			"del-node 127.0.0.1:7001 ffffffffffffffffffffffffffffffffffffffff --yes",
			"del-node 127.0.0.1:7001 ffff --yes",
			"del-node 127.0.0.1:7001 127.0.0.1:7002 --yes",
			"del-node 127.0.0.1:7001 127.0.0.1:7002 --drain --to 127.0.0.1:7003 --dry-run",
			"forget 127.0.0.1:7001 127.0.0.1:7005 --yes",
			"forget 127.0.0.1:7001 127.0.0.1:7002 --yes",
			"del-node 127.0.0.1:7007 127.0.0.1:7007 --yes",
		},
		"roles.txt": {
			"replicate 127.0.0.1:7001 127.0.0.1:7004 127.0.0.1:7002 --yes",
			"replicate 127.0.0.1:7001 127.0.0.1:7004 127.0.0.1:7002 --yes",
			"replicate 127.0.0.1:7001 127.0.0.1:7001 127.0.0.1:7002 --yes",
			"replicate 127.0.0.1:7001 127.0.0.1:7004 127.0.0.1:7005 --yes",
			"failover 127.0.0.1:7001 127.0.0.1:7005",
			"failover 127.0.0.1:7001 127.0.0.1:7005 --yes",
			"failover 127.0.0.1:7001 127.0.0.1:7005 --yes",
			"failover 127.0.0.1:7001 127.0.0.1:7006 --takeover --dry-run",
			"failover 127.0.0.1:7001 127.0.0.1:7006 --force",
			"failover 127.0.0.1:7001 127.0.0.1:7006 --force --yes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
				masters := c.Form(3, 1)[:3]
				for _, m := range masters {
					m.Functions("lib")
				}
				addNodes(c, 7)
				c.Nodes()[9].Functions("own")
				fill(t, c, 30)
				golden(t, name, session(b, lines...))
			})
		})
	}
}

// TestDyingNode: a replica that has just been killed is removed when the others
// call it failed; a master is not.
func TestDyingNode(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		nodes[5].Crash()
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7006 --yes"), exitOK)
		b.wantOut("[OK] Node "+string(nodes[5].ID())+" removed from the cluster.", "[WARNING] 127.0.0.1:7006 does not answer and is not reset")
		nodes[1].Config("cluster-node-timeout", "2000")
		nodes[1].Crash()
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7005 --yes"), exitStale)
		b.wantErr("127.0.0.1:7005 may have the only copy of its keys")
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7002 --yes"), exitStale)
		b.wantErr("does not answer and owns 5461 slots", "trib failover --force", "trib fix")
	})
}

// TestDelNodeDrains moves the slots and removes the node in one go.
func TestDelNodeDrains(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		c.Form(4, 0)
		fill(t, c, 30)
		b.want(b.runLine("del-node 127.0.0.1:7002 127.0.0.1:7001 --drain --yes"), exitOK)
		b.wantOut("[OK] All 16384 slots covered.", ">>> Sending CLUSTER FORGET messages to the cluster...")
		if n := c.Nodes()[0].Slots(); !n.Empty() {
			t.Errorf("the node still has slots %s", n)
		}
		b.want(b.runLine("del-node 127.0.0.1:7002 127.0.0.1:7001 --drain --yes"), exitOK)
		b.wantOut("nothing to do")
		if v := c.Violations(); v != nil {
			t.Error(v)
		}
	})
}

// TestFailoverOfTheDead: by force, with what the replica has.
func TestFailoverOfTheDead(t *testing.T) {
	onSim(t, sim.Options{NoAutoFailover: true}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		nodes[0].Crash()
		c.Settle()
		b.want(b.runLine("failover 127.0.0.1:7002 127.0.0.1:7004 --yes"), exitStale)
		b.wantErr("127.0.0.1:7001, the master of 127.0.0.1:7004, does not answer", "hint: --force")
		b.want(b.runLine("failover 127.0.0.1:7002 127.0.0.1:7004 --force --yes"), exitOK)
		if !nodes[3].Slots().Equal(cluster.NewSlotSet(cluster.SlotRange{First: 0, Last: 5460})) {
			t.Errorf("the replica has slots %s", nodes[3].Slots())
		}
		b.want(b.runLine("del-node 127.0.0.1:7002 127.0.0.1:7001 --yes"), exitOK)
		b.want(b.runLine("check 127.0.0.1:7002"), exitOK)
	})
}

// TestDelNodeOfOneThatOthersForgot: a node that still believes to be a member is
// reset when it is named by its address.
func TestDelNodeOfOneThatOthersForgot(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		b.want(b.runLine("forget 127.0.0.1:7001 127.0.0.1:7006 --force --yes"), exitOK)
		old := nodes[5].ID()
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7006 --yes"), exitOK)
		b.wantOut("let every node forget 127.0.0.1:7006 (" + string(old) + ") (done)")
		if nodes[5].ID() == old {
			t.Error("the node was not reset")
		}
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7006 --yes"), exitOK)
		b.wantOut("nothing to do")
	})
}

// TestDelNodeKilledBeforeTheNewID: the same command, by address, goes on.
func TestDelNodeKilledBeforeTheNewID(t *testing.T) {
	onSim(t, sim.Options{}, func(t *testing.T, b *bench, c *sim.Cluster) {
		nodes := c.Form(3, 1)
		old := nodes[5].ID()
		kill(c, 6) // a reset, and five who forget
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7006 --yes"), exitPartial)
		b.dialer = c.Dialer()
		c.Intercept(nil)
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7006 --yes"), exitOK)
		if nodes[5].ID() == old {
			t.Error("the node keeps its id")
		}
		b.want(b.runLine("del-node 127.0.0.1:7001 127.0.0.1:7006 --yes"), exitOK)
		b.wantOut("nothing to do")
	})
}
