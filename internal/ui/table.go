package ui

import (
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// table adds a table without borders. Columns named in numeric are aligned to
// the right.
func (p *Page) table(header []string, rows [][]string, numeric ...int) {
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Symbols: tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{
				Lines:      tw.LinesNone,
				Separators: tw.SeparatorsNone,
			},
		})),
		tablewriter.WithConfig(plainTable(len(header), numeric)),
	)
	t.Header(header)
	t.Bulk(rows)
	t.Render()
	for i, line := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		line = Safe(line)
		if i == 0 {
			line = p.style.bold(strings.TrimRight(line, " "))
		}
		p.raw(line)
	}
}

// plainTable turns off everything that tablewriter does to cells: headers in
// capitals, wrapping, centring.
func plainTable(columns int, numeric []int) tablewriter.Config {
	align := make([]tw.Align, columns)
	for i := range align {
		align[i] = tw.AlignLeft
	}
	for _, i := range numeric {
		align[i] = tw.AlignRight
	}
	cells := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Padding:    tw.CellPadding{Global: tw.Padding{Left: tw.Empty, Right: "  ", Overwrite: true}},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft, PerColumn: align},
	}
	return tablewriter.Config{Header: cells, Row: cells}
}
