package app

import (
	"testing"

	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/resource"
)

// targetsOf are those of a set at revision 7, with functions f (v2, and v1 with
// all the traffic) and g, and the links.
func targetsOf(t *testing.T, links ...resource.Object) *targets {
	t.Helper()
	kept := fnObject("v1", "")
	kept.Metadata.Name = "f@v1"
	g := fnObject("", "")
	g.Metadata.Name = "g"
	objects := append([]resource.Object{fnObject("v2", `,"traffic":[{"version":"v1","weight":1},{"version":"v2","weight":0}]`), kept, g}, links...)
	set, faults := resource.NewSet(7, objects)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	to := &targets{}
	to.use(set)
	return to
}

func TestWhereAParkedDeliveryGoes(t *testing.T) {
	tests := map[string]struct {
		links  []resource.Object
		parked event.Parked
		want   string
	}{
		"where the traffic goes":                                        {[]resource.Object{linkTo("l", "f")}, event.Parked{Link: "l", Function: "f"}, "f@v1"},
		"to the version that its link names":                            {[]resource.Object{linkTo("l", "f@v2")}, event.Parked{Link: "l", Function: "f"}, "f@v2"},
		"to the version that its record names":                          {[]resource.Object{linkTo("l", "f@v1")}, event.Parked{Link: "l", Function: "f", Version: "v2"}, "f@v2"},
		"where its link leads by now":                                   {[]resource.Object{linkTo("l", "g")}, event.Parked{Link: "l", Function: "f"}, "g@"},
		"to the version that its record names, wherever its link leads": {[]resource.Object{linkTo("l", "g")}, event.Parked{Link: "l", Function: "f", Version: "v2"}, "f@v2"},
		"to its function when its link is gone":                         {nil, event.Parked{Link: "l", Function: "f"}, "f@v1"},
		"to a version that is not there yet":                            {[]resource.Object{linkTo("l", "f@v9")}, event.Parked{Link: "l", Function: "f"}, "f@v9"},
		"to a function that is not there yet":                           {[]resource.Object{linkTo("l", "h")}, event.Parked{Link: "l", Function: "f"}, "h@"},
		"to the version that a policy names":                            {nil, event.Parked{Link: "policy:p/f@v2", Function: "f"}, "f@v2"},
		"to the version that its event is for":                          {nil, event.Parked{Link: "manual:f@v2", Function: "f"}, "f@v2"},
		"to the function that its event is for":                         {nil, event.Parked{Link: "schedule:f", Function: "f"}, "f@v1"},
		"to the function that a policy names":                           {nil, event.Parked{Link: "policy:p/f", Function: "f"}, "f@v1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.parked.Event = &event.Event{Source: "/s", ID: "1"}
			got := targetsOf(t, test.links...).Target(&test.parked)
			if at := resource.VersionName(got.Function.Metadata.Name, got.Function.Spec.Version); at != test.want || got.Link.Metadata.Name != test.parked.Link {
				t.Errorf("%s by link %s, want %s", at, got.Link.Metadata.Name, test.want)
			}
		})
	}
}

func TestWhereALiveDeliveryGoesOnASecondLook(t *testing.T) {
	chosen := func(link, function, version string) resource.Target {
		return unknownTarget(link, function, version)
	}
	tests := map[string]struct {
		links    []resource.Object
		chosen   resource.Target
		revision uint64
		want     string
	}{
		"nothing newer is in force":           {[]resource.Object{linkTo("l", "f")}, chosen("l", "f", "v2"), 7, "f@v2"},
		"where the traffic goes":              {[]resource.Object{linkTo("l", "f")}, chosen("l", "f", "v2"), 6, "f@v1"},
		"to the version that its link names":  {[]resource.Object{linkTo("l", "f@v2")}, chosen("l", "f", "v1"), 6, "f@v2"},
		"its link is gone":                    {nil, chosen("l", "f", "v2"), 6, "f@v1"},
		"its link leads elsewhere":            {[]resource.Object{linkTo("l", "g")}, chosen("l", "f", "v2"), 6, "f@v2"},
		"the version of its link is not here": {[]resource.Object{linkTo("l", "f@v9")}, chosen("l", "f", "v2"), 6, "f@v2"},
		"its function is gone":                {nil, chosen("l", "h", "v2"), 6, "h@v2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rec := event.Record{Event: &event.Event{Source: "/s", ID: "1"}}
			got := targetsOf(t, test.links...).Again(test.chosen, &rec, test.revision)
			if at := resource.VersionName(got.Function.Metadata.Name, got.Function.Spec.Version); at != test.want || got.Link != test.chosen.Link {
				t.Errorf("%s, want %s", at, test.want)
			}
		})
	}
}
