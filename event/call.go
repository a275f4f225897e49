package event

import (
	"net/url"
	"strconv"
	"strings"
)

// Calls through the log: a request to /async-function/<name> becomes an event for
// that function alone, and what the function answers another one, for the caller.
const (
	// TypeInvoke is the type of a call whose request was no event itself.
	TypeInvoke = "signalbox.invoke"
	// TypeAnswer is what a function answered to a call: data and its content type
	// are those of the answer.
	TypeAnswer = "signalbox.answer"
)

// The extensions of calls and answers. Only Signalbox sets them: what comes in, and what functions answer
// under these names, is dropped.
const (
	// ExtCallTarget is the one function an event is for, as name or name@version.
	ExtCallTarget = "calltarget"
	// ExtCallbackURL is where the caller wants the answer.
	ExtCallbackURL = "callbackurl"
	// ExtCallPath is what a call adds to the function's URL: a path that begins with a slash, a query that
	// begins with a question mark, or both; as they came, percent-encoded.
	ExtCallPath = "callpath"
	// ExtCallID is the id of the call's event, ExtCallStatus the status of the
	// answer and ExtCallMS how long the function took, in milliseconds; on answers.
	ExtCallID     = "callid"
	ExtCallStatus = "callstatus"
	ExtCallMS     = "callms"
)

// CallTarget is the function that e is a call of, as name or name@version; "" for all else.
func CallTarget(e *Event) string {
	v, _ := e.Extension(ExtCallTarget)
	return v
}

// CallPath is what a call adds to the URL of its function; "" for all else.
func CallPath(e *Event) string {
	v, _ := e.Extension(ExtCallPath)
	return v
}

// CallURL is the URL of a call: that of its function with what CallPath says. It has a path.
func CallURL(function, path string) (*url.URL, error) {
	u, err := url.Parse(function)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(path, "?")
	// As it came, and not by JoinPath, which takes doubled slashes for one.
	whole := u.EscapedPath()
	if path != "" {
		whole = strings.TrimSuffix(whole, "/") + path
	}
	if whole == "" {
		whole = "/"
	}
	if u.Path, err = url.PathUnescape(whole); err != nil {
		return nil, err
	}
	u.RawPath = whole
	if u.RawQuery != "" && query != "" {
		query = "&" + query
	}
	u.RawQuery += query
	return u, nil
}

// Callback is where an answer is for; "" for what is none.
func Callback(e *Event) string {
	if e.Type != TypeAnswer {
		return ""
	}
	v, _ := e.Extension(ExtCallbackURL)
	return v
}

// WantsAnswer reports whether e is a call whose caller wants to know what comes of it.
func WantsAnswer(e *Event) bool {
	if CallTarget(e) == "" {
		return false
	}
	v, _ := e.Extension(ExtCallbackURL)
	return v != ""
}

// Answer is what a function answered.
type Answer struct {
	Status      int
	ContentType string
	Data        []byte
	// MS is how long the function took, in milliseconds.
	MS float64
	// Function is name or name@version.
	Function string
	// Final says that the function's answer was no success, and that it is not called again.
	Final bool
}

// The places of answers among the replies to a call, far above those of events, so
// that no ids meet. A call that failed for good and was sent again answers again.
const (
	answerIndex = 1 << 20
	failedIndex = 1<<20 + 1
)

// DeriveAnswer makes the event of an answer to cause, which WantsAnswer; redrive counts the times that
// the call was sent again. Its id stays the same when a delivery is repeated.
func DeriveAnswer(cause *Event, a *Answer, redrive int, hop Hop) *Event {
	hop.Index = answerIndex
	if a.Final {
		hop.Index = failedIndex + redrive
	}
	e := Derive(cause, &Event{
		Type: TypeAnswer, Source: "/function/" + a.Function, Subject: a.Function, DataContentType: a.ContentType, Data: a.Data,
	}, hop)
	callback, _ := cause.Extension(ExtCallbackURL)
	e.SetExtension(ExtCallbackURL, callback)
	e.SetExtension(ExtCallID, cause.ID)
	e.SetExtension(ExtCallStatus, strconv.Itoa(a.Status))
	e.SetExtension(ExtCallMS, strconv.FormatFloat(a.MS, 'f', 3, 64))
	return e
}
