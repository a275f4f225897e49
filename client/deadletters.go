package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/history"
)

// DeadLetters returns dead letters, oldest first.
func (c *Client) DeadLetters(ctx context.Context, q Query) ([]json.RawMessage, error) {
	return list[json.RawMessage](ctx, c, lettersPath, q.values(), q.Limit)
}

const lettersPath = "/api/v1/deadletters"

func letterPath(id string) string { return lettersPath + "/" + url.PathEscape(id) }

// DeadLetterByID returns one dead letter.
func (c *Client) DeadLetterByID(ctx context.Context, id string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.call(ctx, request{method: http.MethodGet, path: letterPath(id)}, &out)
	return out, err
}

// DeadLetterEvent returns the event of a dead letter; nil when the record was no event.
func (c *Client) DeadLetterEvent(ctx context.Context, id string) (*event.Event, error) {
	letter, err := c.DeadLetterByID(ctx, id)
	if err != nil {
		return nil, err
	}
	var in struct{ Event json.RawMessage }
	if err := json.Unmarshal(letter, &in); err != nil || in.Event == nil {
		return nil, err
	}
	return event.ParseJSON(in.Event)
}

// LetterAction is what to do about dead letters.
type LetterAction struct {
	// Action is event.Redrive or event.Drop.
	Action event.Action
	// Version redrives to this version of the function; "" is the one in force.
	Version string
	// Event redrives this instead of the dead letter's; nil leaves it. It is for
	// one dead letter only.
	Event *event.Event
	// DryRun only says what would be done.
	DryRun bool
}

func (a *LetterAction) request(path string, query url.Values) (request, error) {
	r := request{method: http.MethodPost, path: path + "/" + string(a.Action), query: query}
	if a.DryRun {
		r.query.Set("dryRun", "true")
	}
	if a.Version == "" && a.Event == nil {
		return r, nil
	}
	in := map[string]any{}
	if a.Version != "" {
		in["version"] = a.Version
	}
	if a.Event != nil {
		in["event"] = json.RawMessage(a.Event.AppendJSON(nil))
	}
	var err error
	r.body, err = json.Marshal(in)
	r.header = http.Header{"Content-Type": {"application/json"}}
	return r, err
}

// LetterDecided is what became of one dead letter, LetterTally what became of many.
type (
	LetterDecided = history.Decided
	LetterTally   = history.Tally
)

// DecideDeadLetter redrives or drops one dead letter. Doing it twice is no
// error: the second answer says Already.
func (c *Client) DecideDeadLetter(ctx context.Context, id string, a LetterAction) (LetterDecided, error) {
	var out LetterDecided
	r, err := a.request(letterPath(id), url.Values{})
	if err != nil {
		return out, err
	}
	err = c.call(ctx, r, &out)
	return out, err
}

// DecideDeadLetters redrives or drops the dead letters that a query selects,
// at most Query.Limit of them (0: all), a part at a time; all must be true
// when the query selects nothing in particular. progress, unless nil, is
// called after each part but the last. The tally is right beside an error too.
func (c *Client) DecideDeadLetters(ctx context.Context, q Query, all bool, a LetterAction, progress func(LetterTally)) (LetterTally, error) {
	sum := LetterTally{DryRun: a.DryRun}
	limit, cursor := q.Limit, ""
	q.Limit = 0
	for {
		values := q.values()
		if all {
			values.Set("all", "true")
		}
		if limit > 0 {
			values.Set("limit", strconv.Itoa(limit-sum.Scanned))
		}
		if cursor != "" {
			values.Set("cursor", cursor)
		}
		r, err := a.request(lettersPath, values)
		if err != nil {
			return sum, err
		}
		var part LetterTally
		if err := c.call(ctx, r, &part); err != nil {
			return sum, err
		}
		sum.Add(&part)
		if cursor = part.Next; cursor == "" || limit > 0 && sum.Scanned >= limit {
			return sum, nil
		}
		if progress != nil {
			progress(sum)
		}
	}
}
