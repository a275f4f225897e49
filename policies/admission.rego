# The shipped admission policy. Each rule of it holds until a Policy of the
# same package defines a rule of that name.
#
# input.event     the attributes of the event by name, extensions "true" and
#                 "false" as booleans, size in bytes, and data where it is JSON
# input.identity  who sends it
# input.route     the route it came in by, such as /events
package signalbox.admission

import rego.v1

# allow must be true for the event to be accepted; undefined is false.
default allow := true

# deny refuses the event for a reason, whatever allow says. As shipped it holds none.
deny contains "" if false
