// Package apply carries out a plan: it takes the lock, looks at the cluster
// again, refuses a plan that the cluster has outgrown, does the steps in their
// order, and verifies the result. It tells what happens as [Event]s and is the
// only source of them.
//
// Nothing that it needs in order to continue is kept outside the cluster. A run
// that was killed is continued by applying the same plan again, or by a plan
// that [plan.Resume] makes from the cluster's state.
package apply
