package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

func versionsDiffer(v *sight) []Finding {
	byServer := make(map[string][]int)
	for _, i := range v.reachable() {
		if server := v.Members[i].Server; server != (cluster.Server{}) {
			byServer[server.String()] = append(byServer[server.String()], i)
		}
	}
	if len(byServer) < 2 {
		return nil
	}
	f := Finding{
		Code: VersionsDiffer, Severity: Warning,
		Summary: fmt.Sprintf("nodes run %d different servers", len(byServer)),
		Remedy:  "finish the upgrade, replicas before masters: what an old server writes a new one can read, not the other way round",
	}
	for _, server := range slices.Sorted(maps.Keys(byServer)) {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s (%s)", server, several(len(byServer[server]), "node"), v.named(byServer[server])))
	}
	return []Finding{f}
}

// configDiffers compares nodes that said what a setting is: older servers do not
// have all of them.
func configDiffers(v *sight) []Finding {
	settings := make(map[string]map[string][]int)
	for i, m := range v.Members {
		for name, value := range m.Config {
			if settings[name] == nil {
				settings[name] = make(map[string][]int)
			}
			settings[name][value] = append(settings[name][value], i)
		}
	}
	f := Finding{
		Code: ConfigDiffers, Severity: Warning,
		Remedy: "CONFIG SET the same value on all nodes, and CONFIG REWRITE so that it outlives a restart",
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if len(settings[name]) > 1 {
			names = append(names, name)
			f.Evidence = append(f.Evidence, name+": "+v.values(settings[name]))
			f.Nodes = append(f.Nodes, v.ids(dissenters(settings[name]))...)
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(f.Nodes)
	f.Nodes = slices.Compact(f.Nodes)
	f.Summary = fmt.Sprintf("nodes differ in %s: %s", several(len(names), "setting"), some(names))
	return []Finding{f}
}

// values says which value whom has, the commonest first.
func (v *sight) values(byValue map[string][]int) string {
	var parts []string
	for _, value := range byNumber(byValue) {
		shown := value
		if shown == "" {
			shown = "(empty)"
		}
		parts = append(parts, fmt.Sprintf("%s on %s", shown, v.named(byValue[value])))
	}
	return strings.Join(parts, "; ")
}

// dissenters are those who do not have the commonest value.
func dissenters(byValue map[string][]int) []int {
	var out []int
	for _, value := range byNumber(byValue)[1:] {
		out = append(out, byValue[value]...)
	}
	return out
}

func byNumber(byValue map[string][]int) []string {
	values := slices.Sorted(maps.Keys(byValue))
	slices.SortStableFunc(values, func(a, b string) int { return len(byValue[b]) - len(byValue[a]) })
	return values
}

// functionsDiffer compares masters: a replica has what its master has. Until a
// master has slots nobody calls a function on it.
func functionsDiffer(v *sight) []Finding {
	byCode := make(map[string][]int)
	owners := make(map[string]bool)
	for i, m := range v.Members {
		if !m.IsMaster() || m.Libraries == "" {
			continue
		}
		byCode[m.Libraries] = append(byCode[m.Libraries], i)
		if !m.Slots().Empty() {
			owners[m.Libraries] = true
		}
	}
	if len(byCode) < 2 {
		return nil
	}
	f := Finding{
		Code: FunctionsDiffer, Severity: Warning, Nodes: v.ids(dissenters(byCode)),
		Summary: fmt.Sprintf("masters have %d different sets of functions: what FCALL does depends on the key", len(byCode)),
		Remedy:  "load the same libraries on every master: FUNCTION DUMP on one that is right, FUNCTION RESTORE on the others",
	}
	if len(owners) > 1 {
		f.Severity = Error
	}
	for _, code := range byNumber(byCode) {
		masters := byCode[code]
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s (digest %.8s): %s", several(int(v.Members[masters[0]].Functions), "function"), code, v.named(masters)))
	}
	return []Finding{f}
}
