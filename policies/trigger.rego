# The shipped trigger policy. Each rule of it holds until a Policy of the same
# package defines a rule of that name.
#
# input.event   the attributes of the event by name, extensions "true" and
#               "false" as booleans, and data where it is JSON
# input.links   the candidates: links whose types and filters hold, each with
#               name, function, version, labels, annotations and types
# input.time    the time of the decision, RFC 3339
package signalbox.trigger

import rego.v1

# match holds the names of the candidates that get the event.
match contains link.name if some link in input.links

# deny takes links out again: {"link": name, "reason": text}. Without "link" it
# denies all. As shipped it denies none.
deny contains {"link": "", "reason": ""} if false

# target adds functions that no link names: {"function": name, "reason": text}.
# As shipped it adds none.
target contains {"function": "", "reason": ""} if false
