package signalbox.admission

allow if input.event.source == "/here"

allow := "conflict" if input.event.conflict
