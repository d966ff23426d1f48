package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/veltrix/veltrix/internal/participant"
	"github.com/veltrix/veltrix/internal/rules"
	"github.com/veltrix/veltrix/internal/schema"
	"github.com/veltrix/veltrix/internal/service"
)

type schemaFlags struct {
	format, eventType, prefix, server, out string
}

func schemaCommand() *cobra.Command {
	var opts schemaFlags
	cmd := &cobra.Command{
		Use:   "schema FILE",
		Short: "Describe a hunt for those who build on it: JSON Schema, AsyncAPI, OpenAPI",
		Long: "Writes what a rules file says of events and states as documents that other tools read, in JSON:\n\n" +
			"  jsonschema  JSON Schema (2020-12) of the events, or of one --type\n" +
			"  asyncapi    AsyncAPI 3.0 of the Kafka topics: events, notifications, rejected\n" +
			"  openapi     OpenAPI 3.1 of the gateway\n\n" +
			"With --out it writes them all as files: TYPE.schema.json for each type of event, asyncapi.json, openapi.json.",
		Example: "  veltrix rules schema --type clue.found rules.yaml\n" +
			"  veltrix rules schema --format asyncapi --prefix autumn rules.yaml\n" +
			"  veltrix rules schema --out schemas --server https://events.example.org rules.yaml",
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.format, "format", "jsonschema", "what to write: jsonschema, asyncapi or openapi")
	flags.StringVar(&opts.eventType, "type", "", "with jsonschema: this type of event alone")
	flags.StringVar(&opts.prefix, "prefix", "veltrix", "with asyncapi: what the topics' names begin with (kafka.prefix)")
	flags.StringVar(&opts.server, "server", "http://localhost:8080", "with openapi: the gateway's URL")
	flags.StringVar(&opts.out, "out", "", "write all documents into this directory")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		program, err := rules.LoadFile(files[0])
		if err != nil {
			return service.WithExitCode(fmt.Errorf("the rules cannot be described:\n%w", err), service.ExitConfig)
		}
		if opts.out != "" {
			return opts.writeAll(cmd.OutOrStdout(), program.Schema())
		}
		document, err := opts.document(program.Schema())
		if err != nil {
			return err
		}
		return writeDocument(cmd.OutOrStdout(), document)
	}
	return cmd
}

func (opts *schemaFlags) document(s *participant.Schema) (map[string]any, error) {
	switch opts.format {
	case "asyncapi":
		return schema.AsyncAPI(s, opts.prefix), nil
	case "openapi":
		return schema.OpenAPI(s, opts.server), nil
	case "jsonschema":
	default:
		return nil, usage("--format is jsonschema, asyncapi or openapi, not %q", opts.format)
	}
	if opts.eventType == "" {
		return schema.Events(s), nil
	}
	at := s.TypeIndex(opts.eventType)
	if at < 0 {
		return nil, usage("the rules declare no event type %q: choose %s", opts.eventType, strings.Join(s.TypeNames(), ", "))
	}
	return schema.Event(s, &s.Types[at]), nil
}

// writeAll writes every document, and says which.
func (opts *schemaFlags) writeAll(out io.Writer, s *participant.Schema) error {
	documents := map[string]map[string]any{"asyncapi.json": schema.AsyncAPI(s, opts.prefix), "openapi.json": schema.OpenAPI(s, opts.server)}
	names := []string{"asyncapi.json", "openapi.json"}
	for i := range s.Types {
		// A type's name may have slashes.
		name := strings.ReplaceAll(s.Types[i].Name, "/", "_") + ".schema.json"
		documents[name] = schema.Event(s, &s.Types[i])
		names = append(names, name)
	}
	if err := os.MkdirAll(opts.out, 0o755); err != nil {
		return fmt.Errorf("make the directory of the documents: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(opts.out, name)
		file, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("write a document: %w", err)
		}
		err = writeDocument(file, documents[name])
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
		if _, err := fmt.Fprintln(out, path); err != nil {
			return err
		}
	}
	return nil
}

// writeDocument writes JSON for people, too.
func writeDocument(out io.Writer, document any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(document)
}
