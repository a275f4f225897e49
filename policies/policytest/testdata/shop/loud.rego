# METADATA
# custom:
#   signalbox: {mode: shadow}
package signalbox.trigger

deny contains {"link": "thumbs", "reason": "in shadow"}
