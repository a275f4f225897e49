# METADATA
# custom:
#   signalbox: {priority: 5}
package signalbox.management

deny contains {"reason": "not on a freeze"} if {
	input.verb in {"write", "delete"}
	input.resource.spec.frozen
}
