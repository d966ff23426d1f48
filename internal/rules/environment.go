package rules

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/veltrix/veltrix/internal/participant"
)

// The types of the expression language that are ours. Sets and maps are opaque:
// nothing can iterate them, compare them or build them.
var (
	setType    = cel.OpaqueType("set")
	mapType    = cel.OpaqueType("map_of_int")
	changeType = cel.OpaqueType("change")
	stateType  = cel.ObjectType("state")
)

// The names of a view's types, as messages show them.
const (
	eventPrefix = "event of "
	dataPrefix  = "data of "
)

// The limits of one expression. Nesting bounds the parser's and the compiled
// closures' stack.
const (
	expressionCharsMax = 4096
	nestingMax         = 100
)

// view is what a rule sees of the events it is on: the fields they have in
// common.
type view struct {
	label  string
	fields []participant.Field
	env    *cel.Env
}

// environment gives CEL its types. It is written at load only.
type environment struct {
	types.Provider
	base   *cel.Env
	schema *participant.Schema
	views  map[string]*view
}

func newEnvironment(schema *participant.Schema) (*environment, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("prepare expression types: %w", err)
	}
	e := &environment{Provider: registry, schema: schema, views: make(map[string]*view)}
	options := append([]cel.EnvOption{
		cel.StdLib(),
		cel.ClearMacros(),
		cel.Macros(cel.HasMacro),
		cel.CrossTypeNumericComparisons(true),
		cel.CustomTypeProvider(e),
		cel.ParserExpressionSizeLimit(expressionCharsMax),
		cel.ParserRecursionLimit(nestingMax),
		cel.ParserErrorRecoveryLimit(1),
		cel.Variable("participant", cel.StringType),
		cel.Variable("state", stateType),
	}, functions()...)
	if e.base, err = cel.NewCustomEnv(options...); err != nil {
		return nil, fmt.Errorf("prepare expressions: %w", err)
	}
	return e, nil
}

// functions declares what rules add to CEL. Only their types are given here:
// closures do the work.
func functions() []cel.EnvOption {
	args := func(t ...*cel.Type) []*cel.Type { return t }
	str, num := cel.StringType, cel.IntType
	return []cel.EnvOption{
		cel.Function(operators.In,
			cel.Overload("in_set", args(str, setType), cel.BoolType),
			cel.Overload("in_map_of_int", args(str, mapType), cel.BoolType)),
		cel.Function("size",
			cel.Overload("size_set", args(setType), num),
			cel.Overload("size_map_of_int", args(mapType), num)),
		cel.Function(operators.Index, cel.Overload("index_map_of_int", args(mapType, str), num)),
		cel.Function("get", cel.Overload("get_map_of_int", args(mapType, str, num), num)),
		cel.Function("min", cel.Overload("min_int", args(num, num), num)),
		cel.Function("max", cel.Overload("max_int", args(num, num), num)),
		cel.Function("add", cel.Overload("add_member", args(str), changeType)),
		cel.Function("remove", cel.Overload("remove_member", args(str), changeType)),
		cel.Function("clear", cel.Overload("clear_all", nil, changeType)),
		cel.Function("put", cel.Overload("put_key", args(str, num), changeType)),
		cel.Function("increment", cel.Overload("increment_key", args(str, num), changeType)),
		cel.Function("unset", cel.Overload("unset_time", nil, cel.TimestampType)),
	}
}

// view returns the common view of some event types, by their places in the schema.
func (e *environment) view(indices []int) (*view, error) {
	names := make([]string, len(indices))
	for i, index := range indices {
		names[i] = e.schema.Types[index].Name
	}
	label := strings.Join(names, ", ")
	if v := e.views[label]; v != nil {
		return v, nil
	}
	v := &view{label: label, fields: shared(e.schema, indices)}
	e.views[label] = v
	env, err := e.base.Extend(cel.Variable("event", cel.ObjectType(eventPrefix+label)))
	if err != nil {
		return nil, fmt.Errorf("prepare expressions on %s: %w", label, err)
	}
	v.env = env
	return v, nil
}

// shared returns the fields that all of the types declare with one kind. Such
// a field is optional where it is optional for any of them, and has the widest
// of their bounds.
func shared(schema *participant.Schema, indices []int) []participant.Field {
	fields := slices.Clone(schema.Types[indices[0]].Fields)
	for _, index := range indices[1:] {
		kept := fields[:0]
		for _, f := range fields {
			at := fieldIndex(schema.Types[index].Fields, f.Name)
			if at < 0 || schema.Types[index].Fields[at].Kind != f.Kind {
				continue
			}
			other := &schema.Types[index].Fields[at]
			f.Optional = f.Optional || other.Optional
			f.BytesMax = max(f.BytesMax, other.BytesMax)
			f.HasMin, f.Min, f.IntMin = f.HasMin && other.HasMin, min(f.Min, other.Min), min(f.IntMin, other.IntMin)
			f.HasMax, f.Max, f.IntMax = f.HasMax && other.HasMax, max(f.Max, other.Max), max(f.IntMax, other.IntMax)
			f.Enum = either(f.Enum, other.Enum)
			kept = append(kept, f)
		}
		fields = kept
	}
	return fields
}

// either returns the words of both; without words, a field takes any.
func either(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	words := slices.Concat(a, b)
	slices.Sort(words)
	return slices.Compact(words)
}

func fieldIndex(fields []participant.Field, name string) int {
	return slices.IndexFunc(fields, func(f participant.Field) bool { return f.Name == name })
}

func slotIndex(slots []participant.Slot, name string) int {
	return slices.IndexFunc(slots, func(s participant.Slot) bool { return s.Name == name })
}

// viewOf returns the view that a type's name speaks of, or nil.
func (e *environment) viewOf(prefix, name string) *view {
	if label, ok := strings.CutPrefix(name, prefix); ok {
		return e.views[label]
	}
	return nil
}

// FindStructType knows the state, and each view's event and data.
func (e *environment) FindStructType(name string) (*types.Type, bool) {
	if name == stateType.TypeName() || e.viewOf(eventPrefix, name) != nil || e.viewOf(dataPrefix, name) != nil {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return nil, false
}

// FindStructFieldNames lists nothing: the checker asks for fields by name only.
func (e *environment) FindStructFieldNames(string) ([]string, bool) { return nil, false }

// FindStructFieldType types one selection.
func (e *environment) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == stateType.TypeName() {
		at := slotIndex(e.schema.Slots, field)
		if at < 0 {
			return nil, false
		}
		return fieldType(celKinds[e.schema.Slots[at].Kind])
	}
	if e.viewOf(eventPrefix, name) != nil {
		switch field {
		case "data":
			return fieldType(cel.ObjectType(dataPrefix + strings.TrimPrefix(name, eventPrefix)))
		case "type":
			return fieldType(cel.StringType)
		case "time":
			return fieldType(cel.TimestampType)
		}
		return nil, false
	}
	if v := e.viewOf(dataPrefix, name); v != nil {
		if at := fieldIndex(v.fields, field); at >= 0 {
			return fieldType(celKinds[v.fields[at].Kind])
		}
	}
	return nil, false
}

// NewValue refuses: expressions cannot build our types.
func (e *environment) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("no values of type %s can be built", name)
}

func fieldType(t *cel.Type) (*types.FieldType, bool) {
	return &types.FieldType{Type: t, IsSet: always, GetFrom: never}, true
}

// The checker asks for types only; nothing is evaluated through the provider.
func always(any) bool { return true }

func never(any) (any, error) { return nil, fmt.Errorf("read a field outside of a compiled rule") }

// A field or slot whose declaration is broken is of any type: its uses are not
// mistakes of their own.
var celKinds = map[participant.Kind]*cel.Type{
	participant.KindNone: cel.DynType,
	participant.KindInt:  cel.IntType, participant.KindBool: cel.BoolType,
	participant.KindString: cel.StringType, participant.KindTime: cel.TimestampType,
	participant.KindDouble: cel.DoubleType, participant.KindSet: setType, participant.KindMap: mapType,
}
