package main

// probed is a mutant of what speaks to the public URLs; its test has whole
// deployments behind them.
func probed(protection, without, test, file, old, new string) mutant {
	return mutant{protection, without, test, "internal/app/", []edit{{"internal/probe/" + file, old, new}}}
}

const (
	inOrder    = "TestP03OrderIsKept"
	skewed     = "TestP03GatewaysWhoseClocksDiffer"
	inStead    = "TestP03SomethingAnswersInTheirStead"
	untried    = "TestP03CannotBeTried"
	heldBack   = "TestN03ProxiesHoldStreamsBack"
	noCursors  = "TestN04CursorsThatAreNone"
	askedFor   = "TestProbesAreAskedFor"
	probesGo   = "doctor_probe.go"
	cursorGo   = "cursor.go"
	strangerIs = "\t\tt.accepted = append(t.accepted, \"another participant's devices"
)

// ofURLs are about the ways to the gateways and the inbox.
var ofURLs = []mutant{
	probed("P03 order", "events that came in another order pass", inStead, "order.go", "p.offset < last.offset {", "p.offset < min(0, last.offset) {"),
	probed("P03 order", "stamps that go back pass", skewed, "order.go", "if compareTimes(p.time, newest) < 0 {", "if compareTimes(p.time, newest) < -1 {"),
	probed("P03 order", "what no order is promised for is held to one", skewed, "order.go", "\t\tif s.promised {\n\t\t\tv.order", "\t\tif true {\n\t\t\tv.order"),
	probed("P03 order", "a participant's events may lie in two partitions", inStead, "order.go", "\tif len(in) < 2 {", "\tif len(in) < 3 {"),
	probed("P03 order", "one connection is not tried", inOrder, "send.go", "s.inTurn(ctx, kept, \"k\", true)", "s.inTurn(ctx, kept, \"k\", false)"),
	probed("P03 order", "several connections are not tried", inOrder, "send.go", "s.inTurn(ctx, fresh, \"f\", false)", "s.inTurn(ctx, fresh, \"f\", true)"),
	probed("P03 order", "requests that do not wait are not tried", inOrder, "send.go", ", s.pipelined(ctx)}", "}"),
	probed("P03 what answers instead", "events that are lost pass", inStead, "order.go", "\tif gone > 0 {", "\tif false {"),
	probed("P03 what answers instead", "events that come after their answer pass", inStead, "order.go", "\tif after > 0 {", "\tif false {"),
	probed("P03 what answers instead", "events that come late are lost", inStead, "order.go", "time.Now().Add(lateFor); len(look.missing(all)) > 0 && ", "time.Now().Add(lateFor); false && "),
	probed("P03 what answers instead", "any 202 is a gateway's", inStead, "send.go", "parsed == nil && said.Accepted == 1:", "(parsed == nil || true):"),
	probed("P03 what answers instead", "a 202 of somebody else is a refusal", inStead, "order.go", "\tif stood > 0 {", "\tif false {"),
	probed("P03 what answers instead", "events that are there twice pass", inStead, "order.go", "\t\tif len(places) > 1 {", "\t\tif len(places) > 2 {"),
	probed("P03 what answers instead", "events that are refused at times pass", inStead, "order.go", "\tif total > 0 {", "\tif false {"),
	probed("P03 what answers instead", "a redirect is followed", untried, "doc.go", "return http.ErrUseLastResponse", "return nil"),
	probed("P03 cannot be tried", "it passes", untried, "order.go", "\tif most >= 2 {", "\tif most >= 0 {"),
	{"P03 cannot be tried", "a log that cannot be read is empty", untried, "internal/app/", []edit{
		{"internal/probe/order.go", "\tif err := look.read(ctx); err != nil {\n\t\treturn preflight.NotSeen(fmt.Errorf(\"read the events back: %w\", err), readFix)\n\t}\n\tlate", "\t_ = look.read(ctx)\n\tlate"},
		{"internal/probe/order.go", "\t\tif err := look.read(ctx); err != nil {\n\t\t\treturn preflight.NotSeen(fmt.Errorf(\"read the events back: %w\", err), readFix)\n\t\t}\n", "\t\t_ = look.read(ctx)\n"},
	}},
	deployed("P03 cannot be tried", "no URL is one that is away", untried, probesGo, "\t\tif d.GatewayURL == \"\" {", "\t\tif false {"),
	probed("N03 streams", "those that do not begin pass for ones that cannot be asked", heldBack, "stream.go", "\tcase errors.Is(err, errHeld):", "\tcase false:"),
	probed("N03 streams", "the first line is not waited for", heldBack, "stream.go", "\tif !s.wait(\": connected\", prompt) {", "\tif false {"),
	probed("N03 streams", "heartbeats are not waited for", heldBack, "stream.go", "\tif !s.wait(\": still here\", i.Heartbeat+prompt) {", "\tif false {"),
	probed("N03 streams", "something else is held to it", heldBack, "stream.go", "\tif _, err := i.page(ctx, client(transport), \"/v1/inbox\", token); err != nil {", "\tif err != nil {"),
	probed("N03 streams", "an answer that is no stream is held to it", heldBack, "stream.go", "\tif resp.StatusCode != http.StatusOK {", "\tif false {"),
	probed("N03 streams", "too little time makes them held back", heldBack, "stream.go", "time.Until(at) < i.Heartbeat+2*prompt {", "time.Until(at) < 0 {"),
	deployed("N03 and N04 skips", "no URL is one that is away", askedFor, probesGo, "\t\t\tcase d.InboxURL == \"\":", "\t\t\tcase false:"),
	deployed("N03 and N04 skips", "tokens of somebody else's are tried", askedFor, probesGo, "\t\t\tcase rt.Config.Notifier.JWKSURL != \"\":", "\t\t\tcase false:"),
	deployed("N03 and N04 skips", "the doctor leaves a secret of its own", "TestProbeMakesNoSecret", probesGo, "\t\tcase !has:", "\t\tcase !has && err != nil:"),
	deployed("P03, N03 and N04 skips", "asked for alone, without --probe, all is well", askedFor, "doctor.go", "\tif err == nil && !o.Probe {", "\tif false {"),
	probed("N04 cursors", "a page that goes on passes", noCursors, cursorGo, "!p.Resync {", "false && !p.Resync {"),
	probed("N04 cursors", "a stream that goes on passes", noCursors, cursorGo, "\t\tcase !told:", "\t\tcase !told && t == nil:"),
	probed("N04 cursors", "Last-Event-ID is not tried", noCursors, cursorGo, "\t\t{\"Last-Event-ID\", \"\", t.cursor},\n", ""),
	probed("N04 cursors", "?after= is not tried", noCursors, cursorGo, "\t\t{\"?after=\", \"?after=\" + t.cursor, \"\"},\n", ""),
	probed("N04 cursors", "a stream that is held back goes on", noCursors, cursorGo, "\t\tcase !begun && !s.ended():", "\t\tcase false:"),
	probed("N04 cursors", "an inbox that is away goes on", noCursors, cursorGo, "\tif status != http.StatusOK {", "\tif false {"),
	probed("N04 cursors", "what comes after a failure is believed", noCursors, cursorGo, "\t\t\tbreak // an inbox", "\t\t\t// an inbox"),
	probed("N04 tokens", "another's inbox passes", noCursors, cursorGo, "\t\tif p.Participant != who.participant {", "\t\tif p.Participant == \"\" {"),
	probed("N04 tokens", "an inbox without a token passes", noCursors, cursorGo, "\tcase status == http.StatusUnauthorized:", "\tcase status <= http.StatusUnauthorized:"),
	probed("N04 tokens", "an inbox without a token is unknown", noCursors, cursorGo, "\tcase status < 300:\n\t\tt.accepted = append(t.accepted, \"an inbox", "\tcase false:\n\t\tt.accepted = append(t.accepted, \"an inbox"),
	probed("N04 tokens", "any refusal is one", noCursors, cursorGo, "\t\treturn fmt.Errorf(\"an inbox without a token was answered %d, and not 401\", status)\n", ""),
	probed("N04 tokens", "another's devices are unknown", noCursors, cursorGo, "\tcase status < 300:\n"+strangerIs, "\tcase false:\n"+strangerIs),
	probed("N04 tokens", "a path that is not passed on is a refusal", noCursors, cursorGo, "\tcase status == http.StatusForbidden:", "\tcase status >= http.StatusForbidden:"),
}
