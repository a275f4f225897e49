package event

import "strconv"

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
