package rules

import (
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"

	"github.com/veltrix/veltrix/internal/participant"
)

// The most that expressions may cost, in CEL's units (about one per operator,
// and one per ten bytes of a string that is read): one expression, and all
// that one type of event can set off.
const (
	expressionCostMax = 2_000
	eventCostMax      = 50_000
)

// text is an expression as it stands in the file.
type text struct {
	value  string
	places []place // of each character, and of the end
}

func (t text) place(offset int) place {
	return t.places[min(max(offset, 0), len(t.places)-1)]
}

// expression is a checked expression.
type expression struct {
	text
	tree *ast.AST
	cost uint64
}

// at returns where a node of the expression stands.
func (x *expression) at(e ast.Expr) place {
	location := x.tree.SourceInfo().GetStartLocation(e.ID())
	column := location.Column()
	if e.Kind() == ast.CallKind && !e.AsCall().IsMemberFunction() {
		// CEL places a call at its parenthesis; people look for its name.
		if name := e.AsCall().FunctionName(); spell(name) == name {
			column -= len(name)
		}
	}
	return x.offset(location.Line(), max(column, 0))
}

// offset turns a line (from 1) and a column (from 0) of the expression to a
// place of the file.
func (t text) offset(line, column int) place {
	at := 0
	lines := strings.SplitAfter(t.value, "\n")
	for i := 0; i < line-1 && i < len(lines); i++ {
		at += len([]rune(lines[i]))
	}
	return t.place(at + column)
}

// check parses and types an expression against a view; nil where it noted a problem.
func (c *compiler) check(v *view, t text) *expression {
	if strings.TrimSpace(t.value) == "" {
		c.at(t.place(0), "the expression is empty")
		return nil
	}
	parsed, issues := v.env.Parse(t.value)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		c.at(t.offset(first.Location.Line(), first.Location.Column()), "%s", firstLine(first.Message))
		return nil
	}
	checked, issues := v.env.Check(parsed)
	if issues.Err() != nil {
		c.mistyped(v, t, parsed.NativeRep().Expr(), issues.Errors())
		return nil
	}
	estimate, err := v.env.EstimateCost(checked, estimator{c.schema, v})
	if err != nil {
		c.at(t.place(0), "the cost of the expression cannot be told: %s", firstLine(err.Error()))
		return nil
	}
	return &expression{text: t, tree: checked.NativeRep(), cost: estimate.Max}
}

// mistyped notes what the checker found. A loop's own variables are unknown to
// it; only the loop is worth a word.
func (c *compiler) mistyped(v *view, t text, root ast.Expr, errs []*cel.Error) {
	loops := false
	for _, e := range errs {
		m := undeclared.FindStringSubmatch(e.Message)
		if m != nil && loopNames[m[1]] {
			loops = true
			c.at(t.offset(e.Location.Line(), e.Location.Column()),
				"`%s` is a loop, and rules have none: keep a set, a map or a counter in the state", m[1])
		}
	}
	if loops {
		return
	}
	for _, e := range errs {
		c.at(t.offset(e.Location.Line(), e.Location.Column()), "%s", c.explain(v, root, e.ExprID, e.Message))
	}
}

var loopNames = map[string]bool{"all": true, "exists": true, "exists_one": true, "map": true, "filter": true}

// plainTypes turns CEL's names of types into those of a rules file.
var plainTypes = strings.NewReplacer("google.protobuf.Timestamp", "time", "google.protobuf.Duration", "duration",
	"double", "number", "map_of_int", "map")

func typeNameOf(t *types.Type) string { return plainTypes.Replace(t.String()) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	line = strings.TrimPrefix(line, "Syntax error: ")
	if strings.Contains(line, "input '<EOF>'") {
		return "the expression ends too early"
	}
	if rest, found := strings.CutPrefix(line, "token recognition error at: '"); found {
		line = "cannot read `" + strings.TrimSpace(strings.TrimSuffix(rest, "'")) + "`"
		if strings.HasPrefix(rest, "=") {
			line += "; to compare, write =="
		}
		return line
	}
	if before, _, found := strings.Cut(line, " expecting {"); found {
		return before
	}
	return line
}

var (
	undefinedField = regexp.MustCompile(`^undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	operatorName   = regexp.MustCompile(`'(?:_?(\[_\]|[^'_a-z]+)_?|@(in)|_(\?_:_))' applied`)
)

// explain makes a checker's message fit for a rules file and adds the nearest
// valid name.
func (c *compiler) explain(v *view, root ast.Expr, id int64, message string) string {
	message = firstLine(message)
	if m := undefinedField.FindStringSubmatch(message); m != nil {
		return c.undefined(v, root, id, m[1])
	}
	if m := undeclared.FindStringSubmatch(message); m != nil {
		name := m[1]
		if name == "now" {
			return "there is no `now`: use event.time, which is the same whenever the event is read"
		}
		return "unknown name `" + name + "`" + suggestion(name, vocabulary)
	}
	message = operatorName.ReplaceAllString(message, "'$1$2$3' applied")
	message = plainTypes.Replace(message)
	switch {
	case strings.HasPrefix(message, "found no matching overload for '==") || strings.HasPrefix(message, "found no matching overload for '!="):
		message += "; both sides must be of one type"
	case strings.Contains(message, "(int, number)") || strings.Contains(message, "(number, int)"):
		message += "; make them one type with double(n) or int(x)"
	}
	return message
}

// vocabulary is what an expression may begin with.
var vocabulary = []string{
	"event", "state", "participant", "has", "size", "get", "min", "max", "add", "remove", "clear", "put",
	"increment", "unset", "int", "double", "string", "timestamp", "duration", "in",
}

func (c *compiler) undefined(v *view, root ast.Expr, id int64, field string) string {
	owner := ""
	var names []string
	walk(root, func(e ast.Expr) {
		if e.Kind() != ast.SelectKind || e.ID() != id || e.AsSelect().FieldName() != field {
			return
		}
		owner = path(e.AsSelect().Operand())
	})
	switch owner {
	case "state":
		names = c.schema.SlotNames()
		owner = "slot `" + field + "` in state"
	case "event":
		names = []string{"data", "type", "time"}
		owner = "`event." + field + "`"
		if fieldIndex(v.fields, field) >= 0 {
			return "unknown " + owner + ", did you mean `event.data." + field + "`?"
		}
	default:
		for i := range v.fields {
			names = append(names, v.fields[i].Name)
		}
		owner = "field `" + field + "` in the data of " + v.label
	}
	return "unknown " + owner + suggestion(field, names)
}

// path spells a chain of selections.
func path(e ast.Expr) string {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent()
	case ast.SelectKind:
		return path(e.AsSelect().Operand()) + "." + e.AsSelect().FieldName()
	}
	return ""
}

// walk visits e and all below it.
func walk(e ast.Expr, visit func(ast.Expr)) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(visit))
}

// estimator tells CEL how large things can be, from the bounds of the contract.
type estimator struct {
	schema *participant.Schema
	view   *view
}

// EstimateSize bounds strings by their declared max, in bytes.
func (s estimator) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	switch names := n.Path(); {
	case n.Type().Kind() != types.StringKind:
	case len(names) == 1 && names[0] == "participant", len(names) == 2 && names[0] == "event":
		return &cost.SizeEstimate{Max: 256}
	case len(names) == 2 && names[0] == "state":
		if at := slotIndex(s.schema.Slots, names[1]); at >= 0 {
			return &cost.SizeEstimate{Max: uint64(s.schema.Slots[at].Max)}
		}
	case len(names) == 3:
		if at := fieldIndex(s.view.fields, names[2]); at >= 0 {
			return &cost.SizeEstimate{Max: uint64(s.view.fields[at].BytesMax)}
		}
	case n.ComputedSize() == nil && n.Expr() != nil && n.Expr().Kind() == ast.CallKind && n.Expr().AsCall().FunctionName() == "string":
		// A number, a bool or a time in letters.
		return &cost.SizeEstimate{Max: 32}
	}
	return nil
}

// EstimateCallCost prices our own functions. A lookup is a binary search; a
// change copies the collection's headers.
func (s estimator) EstimateCallCost(_, overload string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	units := uint64(0)
	switch overload {
	case "in_set", "in_map_of_int", "index_map_of_int", "get_map_of_int":
		units = 10
	case "add_member", "remove_member", "put_key", "increment_key":
		most := 0
		for i := range s.schema.Slots {
			if k := s.schema.Slots[i].Kind; k == participant.KindSet || k == participant.KindMap {
				most = max(most, s.schema.Slots[i].Max)
			}
		}
		units = uint64(10 + most/100)
	default:
		return nil
	}
	return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: units}, nil)
}
