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

# Of several denials the one of the highest priority tells; of one priority the first.
top(denials) := [d | some d in denials; d.priority == max([x.priority | some x in denials])][0]

of_link(link) := top([d | some d in trigger_deny; link_of(d.says) == link])

# objection to a link: a denial of it, unless one of all links counts more.
objection(link) := d if {
	d := of_link(link)
	not overruled(d)
}

objection(link) := of_link("") if overruled(of_link(link))

objection(link) := of_link("") if not of_link(link)

overruled(d) if of_link("").priority > d.priority

# A link that a policy puts in goes out again if one of no lower priority denies it.
denial(link, priority) := reason_of(d.says) if {
	d := objection(link)
	d.priority >= priority
}

candidates := {l.name | some l in input.links}

matched[name] := max([m.priority | some m in trigger_match; name_of(m.says) == name]) if {
	some x in trigger_match
	name := name_of(x.says)
	name in candidates
}

chosen contains name if {
	some name, priority in matched
	not name in paused
	not denial(name, priority)
}

denied[name] := denial(name, priority) if some name, priority in matched

added[link] := {"function": function, "priority": t.priority} if {
	some t in trigger_target
	function := function_of(t.says)
	function in functions
	link := sprintf("policy:%s/%s", [t.policy, function])
}

denied[link] := denial(link, a.priority) if some link, a in added

targets contains a.function if {
	some link, a in added
	not denial(link, a.priority)
}

choice := {"chosen": chosen, "denied": denied, "targets": targets}

# A denial wins over allow.
verdict_of(_, denials, _) := {"admitted": false, "reason": reason_of(top(denials).says)} if count(denials) > 0

verdict_of(true, [], _) := {"admitted": true, "reason": ""}

verdict_of(allow, [], stage) := {"admitted": false, "reason": sprintf("no %s policy allows it", [stage])} if allow != true

default admission_allow := false

admission_allow := data.signalbox.admission.allow

admission := verdict_of(admission_allow, admission_deny, "admission")

default management_allow := false

management_allow := data.signalbox.management.allow

management := verdict_of(management_allow, management_deny, "management")
