package resource

import (
	"fmt"
	"net/url"
	"strings"
)

// CallbackFunction is the name under which answers to calls are delivered to
// their callers. No resource can have it. Its versions are the hosts of callers, so
// that one that is away holds up no other.
const CallbackFunction = "_callbacks"

// maxCallbackURL bounds the URL of a callback, in bytes.
const maxCallbackURL = 2048

// CheckCallback reports what is wrong with the URL of a callback.
func CheckCallback(raw string) error {
	_, err := parseCallback(raw)
	return err
}

func parseCallback(raw string) (*url.URL, error) {
	if len(raw) > maxCallbackURL {
		return nil, fmt.Errorf("the callback's URL has %d bytes: want at most %d", len(raw), maxCallbackURL)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" {
		return nil, fmt.Errorf("the callback's URL: want an absolute http or https URL")
	}
	if u.User != nil {
		return nil, fmt.Errorf("the callback's URL has a user name or password: want none")
	}
	return u, nil
}

// CallbackTarget is where an answer goes whose caller wants it at a URL. The function's URL is
// that of the host: the whole one stands in each answer.
func CallbackTarget(raw string) (Target, error) {
	u, err := parseCallback(raw)
	if err != nil {
		return Target{}, err
	}
	host := strings.ToLower(u.Host)
	return Target{
		Link:     &Link{Metadata: Metadata{Name: "callback:" + host}, Spec: LinkSpec{Function: CallbackFunction, Types: []string{"signalbox.answer"}}},
		Function: &Function{Metadata: Metadata{Name: CallbackFunction}, Spec: FunctionSpec{Version: u.Scheme + "/" + host, URL: u.Scheme + "://" + host + "/"}},
	}, nil
}
