package ui

import (
	"fmt"
	"strings"

	"github.com/trib-dev/trib/pkg/cluster"
)

// cells is the length of a bar; each cell stands for the same number of slots.
func (s Style) cells() int {
	if s.Narrow {
		return 32
	}
	return 64
}

// bar draws the slots of one node against all 16384. Cells with slots of marked
// are painted.
func (s Style) bar(slots, marked cluster.SlotSet, paint func(string) string) string {
	return s.barOf(s.cells(), slots, marked, paint)
}

func (s Style) barOf(cells int, slots, marked cluster.SlotSet, paint func(string) string) string {
	var b, run strings.Builder
	for cell := range cells {
		width := cluster.SlotCount / cells
		all := cluster.NewSlotSet(cluster.SlotRange{First: cell * width, Last: (cell+1)*width - 1})
		glyph := s.glyph(slots.Intersect(all).Len(), width)
		if !marked.Intersect(all).Empty() {
			run.WriteString(glyph)
			continue
		}
		flush(&b, &run, paint)
		b.WriteString(glyph)
	}
	flush(&b, &run, paint)
	return b.String()
}

func flush(b, run *strings.Builder, paint func(string) string) {
	if run.Len() > 0 {
		b.WriteString(paint(run.String()))
		run.Reset()
	}
}

// glyph is the denser the more of a cell's slots are there; a single one is
// seen.
func (s Style) glyph(n, width int) string {
	marks := []string{".", "-", "+", "#"}
	if s.Unicode {
		marks = []string{"·", "░", "▒", "█"}
	}
	switch {
	case n == 0:
		return marks[0]
	case n == width:
		return marks[3]
	case n >= width/2:
		return marks[2]
	}
	return marks[1]
}

// ruler heads bars that begin behind a label of the given width.
func (p *Page) ruler(label int) { p.raw(p.style.dim(p.style.ruler(label))) }

func (s Style) ruler(label int) string {
	return fmt.Sprintf("  %-*s  %-*d%d", label, "slots", s.cells()-5, 0, cluster.SlotCount-1)
}

// branch leads from a master to its replica.
func (s Style) branch() string {
	if s.Unicode {
		return "└─"
	}
	return "`-"
}
