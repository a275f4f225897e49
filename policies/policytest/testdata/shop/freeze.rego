package signalbox.trigger

deny contains "all is frozen" if input.event.frozen

deny contains {"link": "wake", "reason": "no drills"} if input.event.drill
