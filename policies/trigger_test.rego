package signalbox.trigger_test

import data.signalbox.trigger
import rego.v1

candidates := [
	{"name": "thumbs", "function": "thumbs", "labels": {"tier": "batch"}},
	{"name": "audit", "function": "audit", "labels": {}},
]

test_every_candidate_is_chosen if {
	trigger.match == {"thumbs", "audit"} with input as {"event": {"type": "t"}, "links": candidates}
}

test_nothing_is_chosen_without_candidates if {
	trigger.match == set() with input as {"event": {"type": "t"}, "links": []}
}

test_nothing_is_denied if {
	trigger.deny == set() with input as {"event": {"type": "t"}, "links": candidates}
}

test_nothing_is_added if {
	trigger.target == set() with input as {"event": {"type": "t"}, "links": candidates}
}
