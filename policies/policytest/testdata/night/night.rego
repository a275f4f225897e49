# METADATA
# custom:
#   signalbox: {priority: 10}
package signalbox.trigger

# Nobody is woken at night.
deny contains {"link": "wake", "reason": "it is night"} if {
	hour := time.clock(time.parse_rfc3339_ns(input.time))[0]
	hour >= data.night.begins
}
