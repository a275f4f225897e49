package signalbox.trigger_test

import data.signalbox.trigger

links := [{"name": "wake"}, {"name": "thumbs"}]

test_nobody_is_woken_at_night if {
	{"link": "wake", "reason": "it is night"} in trigger.deny with input as {"links": links, "time": "2026-01-01T23:00:00Z"}
}

test_everybody_works_at_noon if {
	count(trigger.deny) == 0 with input as {"links": links, "time": "2026-01-01T12:00:00Z"}
	trigger.match == {"wake", "thumbs"} with input as {"links": links}
}

test_limits_are_read if data.limits.amount == 100

todo_test_something if false
