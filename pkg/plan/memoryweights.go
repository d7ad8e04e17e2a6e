package plan

import (
	"fmt"
	"slices"

	"github.com/trib-dev/trib/pkg/cluster"
)

// MemoryWeights weighs the masters that a rebalance with these options shares
// among by the memory that each may use: its maxmemory, or else its part of the
// memory of its host, which it shares with the other masters there. The mean
// weighs 1; weights have two decimal places, so that hosts which differ by what
// their kernels keep weigh the same.
func MemoryWeights(s cluster.State, o RebalanceOptions) (map[cluster.NodeID]Decimal, error) {
	onHost := make(map[string]int64)
	for _, m := range s.Masters() {
		onHost[m.Addr.Host]++
	}
	memory := make(map[cluster.NodeID]int64)
	var total int64
	for _, m := range s.Masters() {
		if slices.Contains(o.Exclude, m.ID) || m.Slots().Empty() && !o.UseEmptyMasters {
			continue
		}
		bytes := m.MaxMemory
		if bytes == 0 {
			bytes = m.HostMemory / onHost[m.Addr.Host]
		}
		if bytes <= 0 {
			return nil, fmt.Errorf("%s tells neither maxmemory nor the memory of its host", m.Addr)
		}
		memory[m.ID] = bytes >> 10
		total += bytes >> 10
	}
	return shares(memory, total), nil
}

// shares are the parts of a total, in units of their mean.
func shares(parts map[cluster.NodeID]int64, total int64) map[cluster.NodeID]Decimal {
	weights := make(map[cluster.NodeID]Decimal, len(parts))
	for id, part := range parts {
		hundredths := float64(part) * float64(len(parts)) / float64(max(total, 1)) * 100
		weights[id] = max(1, Decimal(hundredths+0.5)) * (One / 100)
	}
	return weights
}
