package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of the program. All of them are compiled into one test
// binary, which is told by its environment which one to be.
type mutant struct {
	Number int
	File   string // base name
	Func   string
	Line   int
	Kind   string // delete, swap, negate, drop, forgive
	Text   string // what is changed
	Hash   string // of the function as it is written
}

// String names a mutant so that edits elsewhere do not change its name.
func (m mutant) String() string { return fmt.Sprintf("%s %s %s: %s", m.File, m.Func, m.Kind, m.Text) }

// quiet are calls that neither send nor decide.
func quiet() []string {
	return []string{"report", "Close", "close", "cancel", "Stop", "noteReplicas", "noteChanges"}
}

// wordy are functions that do nothing but tell people.
func wordy() []string {
	return []string{"String", "Error", "noteReplicas", "noteChanges", "changeNotice", "behind", "texts", "bestOf"}
}

type mutator struct {
	fset    *token.FileSet
	file    string
	fn      *ast.FuncDecl
	hash    string
	next    int
	mutants []mutant
	twins   map[string]int
}

// mutate puts every mutant of a source file into it, switched by mutantIs. The
// first one has the given number.
func mutate(name string, source []byte, first int) ([]byte, []mutant, error) {
	m := &mutator{fset: token.NewFileSet(), file: name, next: first, twins: make(map[string]int)}
	f, err := parser.ParseFile(m.fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && !slices.Contains(wordy(), fn.Name.Name) {
			m.fn = fn
			m.function(fn)
		}
	}
	var out bytes.Buffer
	if err := format.Node(&out, m.fset, f); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), m.mutants, nil
}

// function collects first and changes then: what is changed is not looked at
// again.
func (m *mutator) function(fn *ast.FuncDecl) {
	var nodes []ast.Node
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if n != nil {
			nodes = append(nodes, n)
		}
		return true
	})
	names := m.texts(nodes)
	m.hash = fmt.Sprintf("%.8x", sha256.Sum256([]byte(names[fn.Body])))
	for _, n := range nodes {
		switch n := n.(type) {
		case *ast.BlockStmt:
			n.List = m.block(n.List, names)
		case *ast.CaseClause:
			n.Body = m.block(n.Body, names)
		case *ast.IfStmt:
			n.Cond = m.condition(n.Cond, names)
		case *ast.ReturnStmt:
			for i, r := range n.Results {
				if isLogical(r) {
					n.Results[i] = m.condition(r, names)
				}
			}
		case *ast.SwitchStmt:
			if n.Tag == nil {
				m.cases(n, names)
			}
		}
	}
}

// texts are the nodes as they are written, before anything is changed.
func (m *mutator) texts(nodes []ast.Node) map[ast.Node]string {
	out := make(map[ast.Node]string, len(nodes))
	for _, n := range nodes {
		var b bytes.Buffer
		if err := format.Node(&b, m.fset, n); err != nil {
			continue // a list that is no node of its own
		}
		out[n] = strings.Join(strings.Fields(b.String()), " ")
	}
	return out
}

func (m *mutator) cases(s *ast.SwitchStmt, names map[ast.Node]string) {
	for _, c := range s.Body.List {
		for i, e := range c.(*ast.CaseClause).List {
			c.(*ast.CaseClause).List[i] = m.condition(e, names)
		}
	}
}

// on makes a mutant and the expression that is true for it.
func (m *mutator) on(n ast.Node, kind, text string) ast.Expr {
	if len(text) > 110 {
		text = text[:110] + "..."
	}
	name := m.fn.Name.Name
	mu := mutant{m.next, m.file, name, m.fset.Position(n.Pos()).Line, kind, text, m.hash}
	if m.twins[mu.String()]++; m.twins[mu.String()] > 1 {
		mu.Text += " #" + strconv.Itoa(m.twins[mu.String()])
	}
	m.mutants = append(m.mutants, mu)
	m.next++
	return call("mutantIs", &ast.BasicLit{Kind: token.INT, Value: strconv.Itoa(mu.Number)})
}

func call(name string, args ...ast.Expr) ast.Expr {
	return &ast.CallExpr{Fun: ast.NewIdent(name), Args: args}
}

func not(e ast.Expr) ast.Expr { return &ast.UnaryExpr{Op: token.NOT, X: e} }

func binary(x ast.Expr, op token.Token, y ast.Expr) ast.Expr {
	return &ast.ParenExpr{X: &ast.BinaryExpr{X: x, Op: op, Y: y}}
}

// condition negates a condition, and drops each side of an && or ||.
func (m *mutator) condition(e ast.Expr, names map[ast.Node]string) ast.Expr {
	negated := m.on(e, "negate", names[e])
	b, ok := e.(*ast.BinaryExpr)
	if ok && (b.Op == token.LAND || b.Op == token.LOR) {
		b.X = m.dropped(b.X, b.Op, names)
		b.Y = m.dropped(b.Y, b.Op, names)
	}
	return binary(negated, token.NEQ, &ast.ParenExpr{X: e})
}

func (m *mutator) dropped(e ast.Expr, op token.Token, names map[ast.Node]string) ast.Expr {
	if b, ok := e.(*ast.BinaryExpr); ok && b.Op == op {
		b.X = m.dropped(b.X, op, names)
		b.Y = m.dropped(b.Y, op, names)
		return b
	}
	on := m.on(e, "drop", names[e])
	if op == token.LAND {
		return binary(on, token.LOR, &ast.ParenExpr{X: e})
	}
	return binary(not(on), token.LAND, &ast.ParenExpr{X: e})
}

// block deletes statements, swaps neighbours, and forgives errors.
func (m *mutator) block(list []ast.Stmt, names map[ast.Node]string) []ast.Stmt {
	deletes := make([]ast.Expr, len(list))
	for i, s := range list {
		if isDeletable(s) {
			deletes[i] = m.on(s, "delete", names[s])
		}
	}
	var out []ast.Stmt
	for i := 0; i < len(list); {
		end := i + 1
		for end < len(list) && isMovable(list[i]) && isMovable(list[end]) {
			end++
		}
		out = append(out, m.run(list[i:end], deletes[i:end], names)...)
		i = end
	}
	return out
}

// run is a row of statements that may change places.
func (m *mutator) run(list []ast.Stmt, deletes []ast.Expr, names map[ast.Node]string) []ast.Stmt {
	kept := make([]ast.Stmt, len(list))
	for i, s := range list {
		kept[i] = s
		if deletes[i] != nil {
			kept[i] = &ast.IfStmt{Cond: not(deletes[i]), Body: &ast.BlockStmt{List: []ast.Stmt{s}}}
		}
	}
	if forgiven := m.forgiven(list[0], names); forgiven != nil {
		return []ast.Stmt{forgiven, list[0]}
	}
	var swapped ast.Stmt = &ast.BlockStmt{List: kept}
	for i := len(list) - 2; i >= 0; i-- {
		if !acts(list[i]) || !acts(list[i+1]) {
			continue
		}
		other := slices.Clone(list)
		other[i], other[i+1] = other[i+1], other[i]
		swapped = &ast.IfStmt{
			Cond: m.on(list[i], "swap", names[list[i]]+" <> "+names[list[i+1]]),
			Body: &ast.BlockStmt{List: other}, Else: swapped,
		}
	}
	if s, ok := swapped.(*ast.IfStmt); ok {
		return []ast.Stmt{s}
	}
	return kept
}

// forgiven returns without the error that a call may give: "return m.claim()"
// without the claim.
func (m *mutator) forgiven(s ast.Stmt, names map[ast.Node]string) ast.Stmt {
	r, ok := s.(*ast.ReturnStmt)
	types := m.fn.Type.Results
	if !ok || types == nil || len(r.Results) != types.NumFields() || len(r.Results) == 0 {
		return nil
	}
	last, ok := types.List[len(types.List)-1].Type.(*ast.Ident)
	c, isCall := r.Results[len(r.Results)-1].(*ast.CallExpr)
	if !ok || last.Name != "error" || !isCall || isLogical(r.Results[0]) {
		return nil
	}
	results := slices.Clone(r.Results)
	results[len(results)-1] = ast.NewIdent("nil")
	return &ast.IfStmt{
		Cond: m.on(s, "forgive", names[c]),
		Body: &ast.BlockStmt{List: []ast.Stmt{&ast.ReturnStmt{Results: results}}},
	}
}

// isDeletable: what declares nothing that is needed later, and does not end the
// function.
func isDeletable(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt:
		return !isQuiet(s.X)
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE && !blank(s)
	case *ast.IncDecStmt, *ast.RangeStmt:
		return true
	case *ast.IfStmt:
		return !isPlumbing(s) && s.Else == nil
	}
	return false
}

func blank(s *ast.AssignStmt) bool {
	id, ok := s.Lhs[0].(*ast.Ident)
	return ok && id.Name == "_" && len(s.Lhs) == 1
}

// isPlumbing: "if err != nil { return err }" after a call that stands by itself.
// Negating it is enough.
func isPlumbing(s *ast.IfStmt) bool {
	b, ok := s.Cond.(*ast.BinaryExpr)
	if !ok || s.Init != nil {
		return false
	}
	y, ok := b.Y.(*ast.Ident)
	return ok && y.Name == "nil" && b.Op == token.NEQ
}

// isMovable: its place can be taken by a neighbour.
func isMovable(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.RangeStmt:
		return true
	case *ast.IfStmt:
		return !isPlumbing(s) && s.Else == nil
	case *ast.AssignStmt:
		return s.Tok != token.DEFINE
	}
	return false
}

// acts reports whether a statement calls anything that sends or decides.
func acts(s ast.Stmt) bool {
	found := false
	ast.Inspect(s, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		found = found || ok && !isQuiet(c)
		return !found
	})
	return found && !strings.HasPrefix(fmt.Sprintf("%T", s), "*ast.Assign")
}

func isQuiet(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return slices.Contains(quiet(), f.Sel.Name)
	case *ast.Ident:
		return slices.Contains(quiet(), f.Name)
	}
	return false
}

func isLogical(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return slices.Contains([]token.Token{token.LAND, token.LOR, token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ}, e.Op)
	case *ast.UnaryExpr:
		return e.Op == token.NOT
	case *ast.ParenExpr:
		return isLogical(e.X)
	}
	return false
}
