package night_test

import data.signalbox.trigger

test_nobody_is_woken_at_night if {
	trigger.deny == {{"link": "wake", "reason": "it is night"}} with input.time as "2026-01-01T23:00:00Z"
}
