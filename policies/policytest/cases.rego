# How the engine makes a choice of what the rules say, for the exported cases.
# Made by `signalbox policy test --export`.
package signalbox_cases

import rego.v1

# What a rule may say: a name, or an object.
name_of(says) := says if is_string(says)

name_of(says) := says.name if is_object(says)

name_of(says) := says.link if {
	is_object(says)
	not says.name
}

link_of(says) := "" if is_string(says)

link_of(says) := object.get(says, "link", "") if is_object(says)

reason_of(says) := says if is_string(says)

reason_of(says) := object.get(says, "reason", "denied") if is_object(says)

function_of(says) := says if is_string(says)

function_of(says) := says.function if is_object(says)

# A link that a policy puts in goes out again if one of no lower priority denies it.
denials(link, priority) := array.concat(
	[reason_of(d.says) | some d in trigger_deny; link_of(d.says) == link; d.priority >= priority],
	[reason_of(d.says) | some d in trigger_deny; link_of(d.says) == ""; d.priority >= priority],
)

candidates := {l.name | some l in input.links}

matched[name] := max([m.priority | some m in trigger_match; name_of(m.says) == name]) if {
	some x in trigger_match
	name := name_of(x.says)
	name in candidates
}

chosen contains name if {
	some name, priority in matched
	not name in paused
	count(denials(name, priority)) == 0
}

denied[name] := all[0] if {
	some name, priority in matched
	all := denials(name, priority)
}

added[link] := {"function": function, "priority": t.priority} if {
	some t in trigger_target
	function := function_of(t.says)
	function in functions
	link := sprintf("policy:%s/%s", [t.policy, function])
}

denied[link] := all[0] if {
	some link, a in added
	all := denials(link, a.priority)
}

targets contains a.function if {
	some link, a in added
	count(denials(link, a.priority)) == 0
}

choice := {"chosen": chosen, "denied": denied, "targets": targets}

# The first denial wins over allow.
verdict_of(allow, denials) := {"admitted": false, "reason": reason_of(denials[0].says)} if count(denials) > 0

verdict_of(allow, denials) := {"admitted": true, "reason": ""} if {
	count(denials) == 0
	allow == true
}

verdict_of(allow, denials) := {"admitted": false, "reason": reason} if {
	count(denials) == 0
	allow != true
	reason := "no admission policy allows it"
}

default admission_allow := false

admission_allow := data.signalbox.admission.allow

admission := verdict_of(admission_allow, admission_deny)
