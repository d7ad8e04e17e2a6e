package drivertest

import (
	"testing"

	"github.com/trib-dev/trib/pkg/cluster"
	"github.com/trib-dev/trib/pkg/driver"
)

// Target is a formed cluster of three masters without keys, and the means to
// disturb it. The cases pause nodes for up to three seconds.
type Target struct {
	Dialer driver.Dialer
	Nodes  []Node // the masters, all slots covered

	// Password is what nodes demand of each other's MIGRATE; empty for none.
	Password string

	// Intruder dials with a wrong password; nil where the cluster has none.
	Intruder driver.Dialer
}

// Node is one master of a Target.
type Node struct {
	Addr   cluster.Addr
	Pause  func() // SIGSTOP
	Resume func() // SIGCONT
	Kill   func() // SIGKILL
}

// Case is one test of the contract.
type Case struct {
	Name string
	Run  func(t *testing.T, target Target)

	// Spoils says that the cluster is of no use to other cases afterwards.
	Spoils bool
}

// Run tests an implementation. open makes a cluster that ends with t; cases that
// leave it intact share one.
func Run(t *testing.T, open func(t *testing.T) Target) {
	var shared []Case
	for _, c := range Cases() {
		if c.Spoils {
			t.Run(c.Name, func(t *testing.T) { c.Run(t, open(t)) })
		} else {
			shared = append(shared, c)
		}
	}
	target := open(t)
	for _, c := range shared {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, target) })
	}
}

// Cases are all cases, for those who run them in a way of their own, such as
// each in a synctest bubble, where t.Run is not allowed.
func Cases() []Case {
	var cases []Case
	add := func(name string, run func(*suite)) *Case {
		cases = append(cases, Case{Name: name, Run: func(t *testing.T, target Target) {
			s := &suite{T: t, Target: target}
			s.waitUntilHealthy()
			run(s)
		}})
		return &cases[len(cases)-1]
	}
	connectionCases(add)
	brokenCases(add)
	slotCases(add)
	migrateCases(add)
	ownershipCases(add)
	return cases
}
