package signalbox.admission

default allow := false

allow if startswith(input.event.source, "/shop/")

deny contains {"reason": "too large"} if input.event.size > 40

deny contains "no orders from guests" if {
	input.event.type == "com.example.ordered"
	input.identity.role == "guest"
}
