package signalbox.management_test

import data.signalbox.management
import rego.v1

request := {"identity": {}, "route": "/api/v1/functions/:name", "method": "PUT", "verb": "write", "resource": {"kind": "Function", "name": "thumbs"}}

test_everybody_may_write if {
	management.allow with input as request
}

test_everybody_may_read if {
	management.allow with input as object.union(request, {"method": "GET", "verb": "read"})
}

test_nothing_is_denied if {
	management.deny == set() with input as request
}
