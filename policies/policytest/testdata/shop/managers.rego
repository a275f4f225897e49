package signalbox.management

default allow := false

allow if input.identity.role == "admin"

allow if input.verb == "read"

deny contains {"reason": "the last word has audit"} if {
	input.verb == "delete"
	input.resource.name == "audit"
}
