//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/e2e/parts"
	"github.com/signalbox-dev/signalbox/event"
)

// sdkEvent is an event as the client programs take it.
type sdkEvent struct {
	Attributes map[string]string `json:"attributes"`
	Data       any               `json:"data,omitempty"`
	DataBase64 string            `json:"data_base64,omitempty"`
}

// with is the event under another id and type.
func (e sdkEvent) with(id, typ string) sdkEvent {
	e.Attributes = maps.Clone(e.Attributes)
	e.Attributes["id"], e.Attributes["type"] = id, typ
	return e
}

func (e sdkEvent) json() string {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and what came from JSON
	}
	return string(b)
}

// sdkLanguage is a CloudEvents SDK that is not ours.
type sdkLanguage struct {
	name, extension string
	// rawHeaders: the SDK neither encodes nor decodes the values of ce- headers.
	rawHeaders bool
}

var (
	python     = sdkLanguage{name: "python", extension: ".py"}
	javascript = sdkLanguage{name: "javascript", extension: ".mjs", rawHeaders: true}
)

// command is the start of a command line that runs one of the client programs.
func (l sdkLanguage) command(env parts.Env, program string) []string {
	file := env.Client(program + l.extension)
	if l.extension == ".mjs" {
		return []string{"env", "NODE_PATH=" + env.NodePath(), "node", file}
	}
	return []string{env.Python(), file}
}

// emit sends an event with the language's SDK and wants 202.
func (l sdkLanguage) emit(t *testing.T, env parts.Env, url, mode string, e sdkEvent) {
	t.Helper()
	var answer struct{ Status int }
	out := runClient(t, append(l.command(env, "emit"), url, mode, e.json())...)
	if err := json.Unmarshal(out, &answer); err != nil || answer.Status != http.StatusAccepted {
		t.Errorf("%s %s: %s", l.name, mode, out)
	}
}

// runClient runs a program to its end and returns what it printed.
func runClient(t *testing.T, command ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	// A shell that has read the parts' env.sh would make the Kafka programs speak SASL.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "KAFKA_SASL_USER=") })
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, out, errOut.Bytes())
	}
	return out
}

// sdkFunction is a function written with an SDK, started by Signalbox.
type sdkFunction struct {
	name, record string
	language     sdkLanguage
	// format is how it gets its events; reply is the type of what it answers with, "" none.
	format, reply, replyMode string
}

// manifest is the function and the link that leads typ to it.
func (f *sdkFunction) manifest(t *testing.T, env parts.Env, typ string) string {
	command, err := json.Marshal(append([]string{"env", "RECORD=" + f.record, "CE_REPLY_TYPE=" + f.reply, "CE_REPLY_MODE=" + f.replyMode}, f.language.command(env, "function")...))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`---
apiVersion: signalbox.dev/v1
kind: Function
metadata: {name: %[1]s}
spec: {command: %[2]s}
---
apiVersion: signalbox.dev/v1
kind: Link
metadata: {name: to-%[1]s}
spec: {function: %[1]s, types: [%[3]s], delivery: {format: %[4]s}}
`, f.name, command, typ, f.format)
}

// recorded are the events the function has got so far, by id.
func (f *sdkFunction) recorded(t *testing.T) map[string]map[string]any {
	t.Helper()
	b, err := os.ReadFile(f.record)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	got := map[string]map[string]any{}
	for line := range bytes.Lines(b) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			continue // a line that is still being written: the next look has it
		}
		got[fmt.Sprint(e["id"])] = e
	}
	return got
}

func (f *sdkFunction) awaitEvents(t *testing.T, n int) map[string]map[string]any {
	t.Helper()
	await(t, fmt.Sprintf("%d events at %s", n, f.name), func() error {
		if got := len(f.recorded(t)); got < n {
			return fmt.Errorf("got %d", got)
		}
		return nil
	})
	return f.recorded(t)
}

// compare reports how what the function got differs from what was sent. A
// binary delivery shows an SDK that does not decode headers the encoded values.
func (f *sdkFunction) compare(sent sdkEvent, got map[string]any) (faults []string) {
	for name, want := range sent.Attributes {
		if f.language.rawHeaders && f.format == "binary" && name != "datacontenttype" {
			want = string(event.AppendPercent(nil, want))
		}
		if have := fmt.Sprint(got[name]); have != want && !(name == "time" && sameInstant(have, want)) {
			faults = append(faults, fmt.Sprintf("%s is %q, want %q", name, have, want))
		}
	}
	for name := range got {
		if _, ok := sent.Attributes[name]; !ok && !slices.Contains([]string{"specversion", "data", "data_base64", "traceparent"}, name) {
			faults = append(faults, fmt.Sprintf("%s came from nowhere: %v", name, got[name]))
		}
	}
	want, have := dataOf(sent.Data, sent.DataBase64), dataOf(got["data"], got["data_base64"])
	if text, ok := have.(string); ok && strings.HasSuffix(sent.Attributes["datacontenttype"], "+json") {
		_ = json.Unmarshal([]byte(text), &have) // the JavaScript SDK reads application/json only and leaves a text
	}
	if !reflect.DeepEqual(have, want) {
		faults = append(faults, fmt.Sprintf("data are %#v, want %#v", have, want))
	}
	return faults
}

// dataOf is JSON or text as it is, and bytes as a text.
func dataOf(data, encoded any) any {
	if s, ok := encoded.(string); ok && s != "" {
		b, _ := base64.StdEncoding.DecodeString(s) // what is no base64 differs from what was sent
		return string(b)
	}
	return data
}

func sameInstant(a, b string) bool {
	x, err1 := time.Parse(time.RFC3339Nano, a)
	y, err2 := time.Parse(time.RFC3339Nano, b)
	return err1 == nil && err2 == nil && x.Equal(y)
}

// sdkEvents are what each SDK sends; a raw header can only hold ASCII.
var sdkEvents = map[string]sdkEvent{
	"json": {
		Attributes: map[string]string{"source": "/clients", "subject": "Euro € 😀 100%", "tenant": "zürich 1", "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json"},
		Data:       map[string]any{"n": 1.5, "texts": []any{"é", "😀", ""}, "none": nil},
	},
	"ascii": {
		Attributes: map[string]string{"source": "https://example.com/a?b=c#d", "subject": "with two spaces", "tenant": "t1", "datacontenttype": "application/vnd.example+json"},
		Data:       map[string]any{"deep": map[string]any{"list": []any{1.0, true}}},
	},
	"text":  {Attributes: map[string]string{"source": "/clients", "datacontenttype": "text/plain"}, Data: "grüße\nzwei"},
	"bytes": {Attributes: map[string]string{"source": "/clients", "datacontenttype": "application/octet-stream"}, DataBase64: "AAH+/w=="},
}

func TestEventsOfForeignSDKsReachFunctionsOfForeignSDKsUnharmed(t *testing.T) {
	env := parts.Up(t, "clients")
	s := start(t, realArgs(t)...)
	dir := t.TempDir()
	var functions []*sdkFunction
	manifests := ""
	for _, language := range []sdkLanguage{python, javascript} {
		for _, format := range []string{"binary", "structured"} {
			f := &sdkFunction{name: language.name + "-" + format, language: language, format: format}
			f.record = filepath.Join(dir, f.name)
			functions = append(functions, f)
			manifests += f.manifest(t, env, "com.example.sdk")
		}
	}
	s.apply(manifests)

	sent := map[string]sdkEvent{}
	for _, language := range []sdkLanguage{python, javascript} {
		for _, mode := range []string{"binary", "structured"} {
			for name, e := range sdkEvents {
				if language.rawHeaders && mode == "binary" && name == "json" {
					continue // fetch refuses such a header before anything is sent
				}
				id := strings.Join([]string{language.name, mode, name}, "-")
				sent[id] = e.with(id, "com.example.sdk")
				language.emit(t, env, "http://"+s.addr+"/events", mode, sent[id])
			}
		}
	}
	for _, f := range functions {
		got := f.awaitEvents(t, len(sent))
		for id, e := range sent {
			if e.Attributes["time"] == "" && got[id] != nil {
				delete(got[id], "time") // the SDKs add one
			}
			for _, fault := range f.compare(e, got[id]) {
				t.Errorf("%s at %s: %s", id, f.name, fault)
			}
		}
	}
}

func TestAChainOfThreeFunctionsGoesThroughTwoLanguages(t *testing.T) {
	env := parts.Up(t, "clients")
	s := start(t, realArgs(t)...)
	dir := t.TempDir()
	first := &sdkFunction{name: "first", language: python, format: "binary", reply: "com.example.two", replyMode: "structured", record: filepath.Join(dir, "first")}
	second := &sdkFunction{name: "second", language: javascript, format: "structured", reply: "com.example.three", replyMode: "binary", record: filepath.Join(dir, "second")}
	last := newRecorder(t, nil)
	s.apply(first.manifest(t, env, "com.example.one") + second.manifest(t, env, "com.example.two") + functionManifest("last", last.URL, "com.example.three"))
	python.emit(t, env, "http://"+s.addr+"/events", "binary", sdkEvents["json"].with("chain 1", "com.example.one"))

	end := last.awaitCalls(t, 1)[0]
	var middle map[string]any
	for _, middle = range second.recorded(t) {
	}
	for name, want := range map[string]any{"type": "com.example.two", "source": "/clients/python", "causationid": "chain 1", "correlationid": "chain 1"} {
		if middle[name] != want {
			t.Errorf("second got %s %v, want %v", name, middle[name], want)
		}
	}
	if data := fmt.Sprint(middle["data"]); data != "map[got:chain 1 type:com.example.one]" {
		t.Errorf("second got data %s", data)
	}
	for name, want := range map[string]string{
		"Ce-Type": "com.example.three", "Ce-Source": "/clients/javascript",
		"Ce-Causationid": fmt.Sprint(middle["id"]), "Ce-Correlationid": "chain%201",
	} {
		if got := end.header.Get(name); got != want {
			t.Errorf("the last function got %s %q, want %q", name, got, want)
		}
	}
	if want := fmt.Sprintf(`{"got":%q,"type":"com.example.two"}`, middle["id"]); end.body != want {
		t.Errorf("the last function got %s, want %s", end.body, want)
	}
	if n := len(first.recorded(t)); n != 1 {
		t.Errorf("first got %d events, want 1", n)
	}
}
