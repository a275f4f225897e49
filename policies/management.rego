# The shipped management policy. Each rule of it holds until a Policy of the
# same package defines a rule of that name.
#
# input.identity  who asks
# input.route     the route of the API, such as /api/v1/functions/:name
# input.method    the HTTP method
# input.verb      read, write, delete or act (to redrive, replay or report, say)
# input.resource  kind, name, labels, annotations, revision and spec of what it
#                 is about; without what is not known, {} when it is no resource
# input.time      the time of the decision, RFC 3339
package signalbox.management

import rego.v1

# allow must be true for the request to be carried out; undefined is false.
default allow := true

# deny refuses the request for a reason, whatever allow says. As shipped it holds none.
deny contains "" if false
