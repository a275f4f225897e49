package signalbox.admission_test

import data.signalbox.admission
import rego.v1

test_everybody_may_emit if {
	admission.allow with input as {"event": {"type": "t"}, "identity": {}, "route": "/events"}
}

test_nothing_is_denied if {
	admission.deny == set() with input as {"event": {"type": "t"}, "identity": {}, "route": "/events"}
}
