package resource

import (
	"strings"
	"testing"
)

func TestAScheduleThatIsNoneSaysWhatIsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		s    Schedule
		want string
	}{
		"too few fields":           {Schedule{Cron: "*/5 * * *"}, `cron "*/5 * * *": 4 fields: want five fields (minute, hour, day of month, month, day of week), or @hourly`},
		"with seconds":             {Schedule{Cron: "0 */5 * * * *"}, "6 fields"},
		"nothing":                  {Schedule{}, `cron "": 0 fields`},
		"a name that is not known": {Schedule{Cron: "@dayly"}, `cron "@dayly": want five fields`},
		"counted from a start":     {Schedule{Cron: "@every 5m"}, `cron "@every 5m": want five fields`},
		"a zone in it":             {Schedule{Cron: "TZ=UTC 0 6 * * *"}, "the zone goes into timezone"},
		"out of range":             {Schedule{Cron: "61 * * * *"}, "61"},
		"a day that never comes":   {Schedule{Cron: "0 0 31 2 *"}, "there is no such day in any year"},
		"a zone by its shorthand":  {Schedule{Cron: "@daily", Timezone: "CEST"}, `timezone "CEST": want a name such as Europe/Zurich`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.s.Times(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestASchedule(t *testing.T) {
	for _, cron := range []string{"0 0 29 2 *", "*/5 8-18 * * MON-FRI", "@midnight", "0 0 31 * *"} {
		if _, err := (&Schedule{Cron: cron, Timezone: "Europe/Zurich"}).Times(); err != nil {
			t.Error(err)
		}
	}
}
