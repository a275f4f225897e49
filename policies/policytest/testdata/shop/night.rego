# METADATA
# custom:
#   signalbox: {priority: 10}
package signalbox.trigger

import data.clock

# Nobody is woken at night.
deny contains {"link": "wake", "reason": "it is night"} if clock.night
