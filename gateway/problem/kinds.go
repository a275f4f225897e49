package problem

// Kind is one kind of refusal: a type URI, a title and a status.
type Kind uint8

// The kinds. Internal is the zero value: an error nobody foresaw.
const (
	Internal Kind = iota
	MalformedRequest
	NotEvent
	InvalidEvent
	InvalidBatch
	InvalidQuery
	InvalidResource
	InvalidPatch
	InvalidRequest
	Unauthorized
	UnverifiedWebhook
	Denied
	Forbidden
	CrossSite
	NotFound
	AmbiguousEvent
	MethodNotAllowed
	RequestTimeout
	Misdirected
	Exists
	Conflict
	Decided
	NotRedrivable
	NoVersion
	InUse
	PreconditionFailed
	TooLarge
	Schema
	BatchTooLong
	UnsupportedMediaType
	UnsupportedFormat
	UnsupportedEncoding
	Backlog
	TooManySubscribers
	RateLimited
	TooManyFailures
	Busy
	LockedOut
	InvalidArtifact
	HeadersTooLarge
	BadGateway
	Unavailable
	Stopping
	TooManyConnections
	GatewayTimeout
	kindCount
)

// info is what a kind says of itself.
type info struct {
	slug   string
	title  string
	status int
}

// table describes every kind; nothing changes it.
var table = [kindCount]info{
	Internal:             {"internal", "Internal error", 500},
	MalformedRequest:     {"malformed-request", "Malformed HTTP request", 400},
	NotEvent:             {"not-an-event", "Not a CloudEvent", 400},
	InvalidEvent:         {"invalid-event", "Invalid CloudEvent", 400},
	InvalidBatch:         {"invalid-batch", "Batch with invalid events", 400},
	InvalidQuery:         {"invalid-query", "Invalid query", 400},
	InvalidResource:      {"invalid-resource", "Invalid resource", 400},
	InvalidPatch:         {"invalid-patch", "Invalid merge patch", 400},
	InvalidRequest:       {"invalid-request", "Invalid request", 400},
	Unauthorized:         {"unauthorized", "Not authenticated", 401},
	UnverifiedWebhook:    {"unverified-webhook", "Webhook cannot be verified", 401},
	Denied:               {"denied", "Denied by admission policy", 403},
	Forbidden:            {"forbidden", "Forbidden", 403},
	CrossSite:            {"cross-site", "Sent by a page of another site", 403},
	NotFound:             {"not-found", "Not found", 404},
	AmbiguousEvent:       {"ambiguous-event", "Several events have this id", 409},
	MethodNotAllowed:     {"method-not-allowed", "Method not allowed", 405},
	RequestTimeout:       {"request-timeout", "Request took too long to arrive", 408},
	Misdirected:          {"misdirected", "Not a name of this server", 421},
	Exists:               {"exists", "Already exists", 409},
	Conflict:             {"revision-conflict", "Changed by somebody else", 409},
	Decided:              {"already-decided", "Already decided otherwise", 409},
	NotRedrivable:        {"not-redrivable", "Cannot be redriven", 409},
	NoVersion:            {"no-such-version", "No such version", 409},
	InUse:                {"in-use", "In use", 409},
	PreconditionFailed:   {"precondition-failed", "Precondition failed", 412},
	Schema:               {"schema", "Data do not satisfy a schema", 422},
	TooLarge:             {"too-large", "Body too large", 413},
	BatchTooLong:         {"batch-too-long", "Batch too long", 413},
	UnsupportedMediaType: {"unsupported-media-type", "Unsupported media type", 415},
	UnsupportedFormat:    {"unsupported-format", "Unsupported CloudEvents format", 415},
	UnsupportedEncoding:  {"unsupported-encoding", "Unsupported content coding", 415},
	Backlog:              {"backlog", "Backlog over its limit", 429},
	TooManySubscribers:   {"too-many-subscribers", "Too many subscribers", 429},
	RateLimited:          {"rate-limited", "Too many events of one identity", 429},
	TooManyFailures:      {"too-many-failures", "Too many wrong credentials", 429},
	Busy:                 {"busy", "Too many calls at a time", 429},
	InvalidArtifact:      {"invalid-artifact", "Not the artifact it says to be", 422},
	LockedOut:            {"locked-out", "Would lock its author out", 422},
	HeadersTooLarge:      {"headers-too-large", "Header fields too large", 431},
	BadGateway:           {"bad-gateway", "No answer of the function", 502},
	Unavailable:          {"unavailable", "Temporarily unavailable", 503},
	Stopping:             {"stopping", "Shutting down", 503},
	TooManyConnections:   {"too-many-connections", "Too many connections", 503},
	GatewayTimeout:       {"gateway-timeout", "The function took too long", 504},
}

// base is what every type URI begins with.
const base = "https://signalbox.dev/problems/"

// Slug names the kind in metrics and at the end of its type URI.
func (k Kind) Slug() string { return table[k].slug }

// Status is the HTTP status of the kind.
func (k Kind) Status() int { return table[k].status }

// Title is the same for every problem of the kind.
func (k Kind) Title() string { return table[k].title }

// Kinds lists every kind, for documentation.
func Kinds() []Kind {
	all := make([]Kind, 0, kindCount)
	for k := Kind(0); k < kindCount; k++ {
		all = append(all, k)
	}
	return all
}
