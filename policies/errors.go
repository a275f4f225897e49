package policies

import "errors"

// ErrPolicy is wrapped by errors of Choose: a trigger policy that ended with
// an error, spent its budget or gave a result of a wrong shape. No function
// was chosen then, nor denied: try again, and keep the event.
var ErrPolicy = errors.New("trigger policy failed")
