package cesql

// ErrorKind is one of the kinds of errors CESQL 1.0 knows.
type ErrorKind uint8

// The kinds of errors.
const (
	ParseError ErrorKind = iota
	MathError
	CastError
	MissingAttributeError
	MissingFunctionError
	FunctionEvaluationError
)

// String is the kind in words.
func (k ErrorKind) String() string {
	return [...]string{"parse error", "math error", "cast error", "missing attribute", "missing function", "function evaluation error"}[k]
}

// Error is what went wrong in parsing or evaluating.
type Error struct {
	Kind ErrorKind
	// Text says what; for a parse error it begins with line and column.
	Text string
}

// Error implements error.
func (e *Error) Error() string { return e.Kind.String() + ": " + e.Text }

// Errors of evaluation are made once: an event that does not fit is ordinary,
// and costs no allocation.
var (
	errDivision   = &Error{MathError, "division by zero"}
	errAbs        = &Error{MathError, "the absolute value is beyond 32 bits"}
	errNotInteger = &Error{CastError, "the String is no Integer of 32 bits"}
	errNotBoolean = &Error{CastError, "the String is neither true nor false"}
	errNegative   = &Error{FunctionEvaluationError, "the length is negative"}
	errPosition   = &Error{FunctionEvaluationError, "the position is outside the String"}
	errNoBoolean  = &Error{CastError, "the result is no Boolean"}
)
