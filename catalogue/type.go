package catalogue

import (
	"encoding/json"
	"time"
)

// Type is what is known of one type of events, over all processes.
type Type struct {
	Name string `json:"name"`
	// Count is how many events were seen since the type was first, but for what a
	// crash loses or repeats: it is for people, not for accounts.
	Count uint64 `json:"count"`
	// Rate1m and Rate1h are events a second over the last minute and hour.
	Rate1m    float64   `json:"rate1m"`
	Rate1h    float64   `json:"rate1h"`
	FirstSeen time.Time `json:"firstSeen,omitzero"`
	LastSeen  time.Time `json:"lastSeen,omitzero"`
	// Sources and ContentTypes are those of the events, the first ones seen; the
	// marks say that there are more.
	Sources          []string `json:"sources"`
	MoreSources      bool     `json:"moreSources,omitempty"`
	ContentTypes     []string `json:"contentTypes"`
	MoreContentTypes bool     `json:"moreContentTypes,omitempty"`
	// EmittedBy are the functions that were seen to answer with it, DeclaredBy those
	// that declare so.
	EmittedBy  []string `json:"emittedBy"`
	DeclaredBy []string `json:"declaredBy"`
	// Listeners are the links that it fits, without a look at their filters.
	Listeners []Listener `json:"listeners"`
	// Schemas are those that check its events.
	Schemas []string `json:"schemas"`
	// Sample is one of its last events in the CloudEvents JSON format. Where its data
	// were too many they are left out, and SampleSize is how many bytes they had.
	// In lists there is none.
	Sample     json.RawMessage `json:"sample,omitempty"`
	SampleSize int             `json:"sampleSize,omitempty"`
}

// Listener is a link with its function.
type Listener struct {
	Link     string `json:"link"`
	Function string `json:"function"`
}

// Kept are the minutes that rates are computed from.
const Kept = 61

// Rates are the events a second over the last minute and hour before now, from
// the events of each minute since 1970. The last minute is that of the present
// one and as much of the one before as is missing to a whole one.
func Rates(minutes map[int64]uint64, now time.Time) (minute, hour float64) {
	present := now.Unix() / 60
	gone := float64(now.UnixMilli()%60_000) / 60_000
	minute = (float64(minutes[present]) + float64(minutes[present-1])*(1-gone)) / 60
	sum := float64(minutes[present]) + float64(minutes[present-60])*(1-gone)
	for m := present - 59; m < present; m++ {
		sum += float64(minutes[m])
	}
	return minute, sum / 3600
}
