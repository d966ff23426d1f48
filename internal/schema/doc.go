// Package schema describes a hunt for those who build on it, from its rules file:
// JSON Schema for events, AsyncAPI for the topics, OpenAPI for the gateway.
//
// The invariant: what a deployment accepts, the documents accept. They cannot say
// all that it refuses: a text is bounded in bytes there and in characters here,
// and an integer may be written as 1.0 here.
package schema

import "strings"

// nameOf is an event type as the name of a component, which may have no slash.
func nameOf(eventType string) string { return strings.ReplaceAll(eventType, "/", "_-") }

// object is a part of a document; encoding/json writes its keys in order.
type object = map[string]any
