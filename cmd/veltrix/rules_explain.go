package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/service"
)

// explained is what a type of event can do; in JSON, one a line.
type explained struct {
	Type   string          `json:"type"`
	Fields []string        `json:"fields"`
	Rules  []rules.Outline `json:"rules"`
	// Cost is that of all its rules at worst, CostMax the most that is allowed.
	Cost    uint64 `json:"cost"`
	CostMax uint64 `json:"cost_max"`
}

func explainCommand() *cobra.Command {
	var only string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say what each type of event does, rule by rule",
		Long: "For each type of event: its fields, the rules that are on it in the order in which they run, what each sets and\n" +
			"tells under which condition, and what that may cost at worst. What an event did in a certain case is shown by\n" +
			"veltrix rules test --steps.",
		Example: "  veltrix rules explain rules.yaml\n" +
			"  veltrix rules explain --type clue.found --json rules.yaml",
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&only, "type", "", "this type of event alone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each type of event")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		program, err := rules.LoadFile(files[0])
		if err != nil {
			return service.WithExitCode(fmt.Errorf("the rules cannot be explained:\n%w", err), service.ExitConfig)
		}
		schema := program.Schema()
		if only != "" && schema.TypeIndex(only) < 0 {
			return usage("the rules declare no event type %q: choose %s", only, strings.Join(schema.TypeNames(), ", "))
		}
		for i := range schema.Types {
			if only != "" && schema.Types[i].Name != only {
				continue
			}
			if err := explain(program, &schema.Types[i]).print(cmd.OutOrStdout(), asJSON); err != nil {
				return fmt.Errorf("print the explanation: %w", err)
			}
		}
		return nil
	}
	return cmd
}

func explain(program *rules.Program, t *participant.EventType) *explained {
	e := &explained{Type: t.Name, Fields: []string{}, Rules: []rules.Outline{}, CostMax: rules.EventCostMax}
	for i := range t.Fields {
		e.Fields = append(e.Fields, fieldText(&t.Fields[i]))
	}
	for _, o := range program.Outlines() {
		if slices.Contains(o.On, t.Name) {
			e.Rules = append(e.Rules, o)
			e.Cost += o.Cost
		}
	}
	return e
}

func fieldText(f *participant.Field) string {
	text := f.Name + ": " + f.Kind.String()
	number := func(n int64, x float64) string {
		if f.Kind == participant.KindInt {
			return fmt.Sprint(n)
		}
		return fmt.Sprint(x)
	}
	if f.HasMin {
		text += ", at least " + number(f.IntMin, f.Min)
	}
	if f.HasMax {
		text += ", at most " + number(f.IntMax, f.Max)
	}
	if f.Kind == participant.KindString {
		text += fmt.Sprintf(", at most %d bytes", f.BytesMax)
	}
	if len(f.Enum) > 0 {
		text += ", one of " + strings.Join(f.Enum, ", ")
	}
	if f.Optional {
		text += ", optional"
	}
	return text
}

func (e *explained) print(out io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(e)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", e.Type)
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "    %s\n", f)
	}
	for i := range e.Rules {
		r := &e.Rules[i]
		fmt.Fprintf(&b, "  %d. %s%s\n", i+1, r.Name, condition(r.When))
		for _, s := range r.Set {
			fmt.Fprintf(&b, "       sets %s: %s\n", s.Slot, s.To)
		}
		for _, n := range r.Notify {
			fmt.Fprintf(&b, "       tells %s (%s, by %s)%s\n         %s\n", n.Name, n.Class, strings.Join(n.Channels, ", "), condition(n.When), n.Title)
		}
	}
	if len(e.Rules) == 0 {
		b.WriteString("  no rule is on it: it is accepted and has no effect\n")
	}
	fmt.Fprintf(&b, "  costs at most %d of %d units\n\n", e.Cost, e.CostMax)
	_, err := io.WriteString(out, b.String())
	return err
}

func condition(when string) string {
	if when == "" {
		return ""
	}
	return " when " + when
}
