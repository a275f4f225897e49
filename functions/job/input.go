package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions/settings"
	"github.com/signalbox-dev/signalbox/resource"
)

// input is what a run gets.
type input struct {
	// event is the CloudEvent in the JSON format.
	event []byte
	data  []byte
	// env are "name=value", without the paths of files.
	env []string
	// program is a command's; args are templates until the place has said where the files are.
	program string
	args    []string
	files   []settings.File
	source  *event.Event
}

// paths are where a place puts the files of a run.
type paths struct{ event, data, replies string }

// env names the files to the job.
func (p paths) env() []string {
	return []string{"SIGNALBOX_EVENT=" + p.event, "SIGNALBOX_DATA=" + p.data, "SIGNALBOX_REPLIES=" + p.replies}
}

// maxValue bounds what of an event goes into a variable or an argument, in bytes:
// systems take no more than 128 KiB for each.
const maxValue = 32 << 10

// newInput collects what a run gets. An error that wraps errRefused comes again each time.
func (h *Host) newInput(fn *resource.Function, d *delivery, r *record) (*input, error) {
	s, err := settings.Resolve(fn, h.c.Secrets)
	if err != nil {
		return nil, err
	}
	in := &input{
		event: d.event.AppendJSON(nil), data: d.event.Data, source: d.event,
		env:   append(s.Env, eventEnv(d.event, r)...),
		args:  fn.Spec.Job.Args,
		files: s.Files,
	}
	if command := fn.Spec.Job.Command; len(command) > 0 {
		in.program, in.args = command[0], slices.Concat(command[1:], in.args)
	}
	return in, nil
}

// eventEnv are the variables about the event and the run. What is too long for one is in
// the file only.
func eventEnv(e *event.Event, r *record) []string {
	env := []string{
		"SIGNALBOX_RUN=" + r.Run, "SIGNALBOX_LINK=" + r.Link, "SIGNALBOX_ATTEMPT=" + strconv.Itoa(r.Attempt),
		"SIGNALBOX_IDEMPOTENCY_KEY=" + r.Key, "CE_SPECVERSION=" + event.SpecVersion,
	}
	add := func(name, value string) {
		if value != "" && len(value) <= maxValue {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range []string{"id", "source", "type", "subject", "time", "datacontenttype", "dataschema"} {
		v, _ := e.Attribute(name)
		add("CE_"+strings.ToUpper(name), v)
	}
	for _, x := range e.Extensions {
		add("CE_"+strings.ToUpper(x.Name), x.Value)
	}
	add("TRACEPARENT", r.TraceParent)
	add("TRACESTATE", r.TraceState)
	return env
}

// arguments fills in the templates of the arguments. Each stays one argument,
// whatever the event says.
func (in *input) arguments(p paths) ([]string, error) {
	out := make([]string, len(in.args))
	var data any
	for i, text := range in.args {
		parts, err := resource.ParseTemplate(text)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w: %w", i, errRefused, err)
		}
		var b strings.Builder
		for _, part := range parts {
			if part.Name == "" {
				b.WriteString(part.Text)
				continue
			}
			v, err := in.value(part.Name, p, &data)
			if err == nil && b.Len() == 0 && strings.HasPrefix(v, "-") {
				err = errors.New("the value begins with '-': it could pass for an option")
			}
			if err != nil {
				return nil, fmt.Errorf("argument %d: {%s}: %w: %w", i, part.Name, errRefused, err)
			}
			b.WriteString(v)
		}
		out[i] = b.String()
	}
	return out, nil
}

// value is what a template's name stands for; data is the event's, once it was needed.
func (in *input) value(name string, p paths, data *any) (v string, err error) {
	switch first, rest, _ := strings.Cut(name, "."); first {
	case "file":
		return map[string]string{"event": p.event, "data": p.data, "replies": p.replies}[rest], nil
	case "data":
		v, err = in.field(rest, data)
	default:
		var ok bool
		if v, ok = in.source.Attribute(name); !ok {
			err = errors.New("the event has no such attribute")
		}
	}
	switch {
	case err != nil:
	case len(v) > maxValue:
		err = fmt.Errorf("%d bytes: at most %d fit into an argument; read the file", len(v), maxValue)
	case strings.ContainsRune(v, 0) || !utf8.ValidString(v):
		err = errors.New("no text")
	}
	return v, err
}

// field is a field of the event's data, "" all of it.
func (in *input) field(path string, data *any) (string, error) {
	if path == "" {
		return string(in.data), nil
	}
	if *data == nil {
		d := json.NewDecoder(strings.NewReader(string(in.data)))
		d.UseNumber()
		if d.Decode(data) != nil {
			return "", errors.New("the data are not JSON")
		}
	}
	at := *data
	for name := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return "", errors.New("the data have no such field")
			}
			at = v[i]
		default:
			at = nil
		}
	}
	switch v := at.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case nil:
		return "", errors.New("the data have no such field")
	}
	return "", errors.New("an object or a list: want a text, a number, true or false")
}
