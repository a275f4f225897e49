package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// gitlabRule is a row of the CloudEvents adapter for GitLab
// (adapters/gitlab.md of the specification). Empty fields are the usual ones:
// no kind, source repository.homepage, time now.
type gitlabRule struct {
	// name follows com.gitlab., kind is the path of what follows that.
	name, kind            string
	source, subject, time string
	// cutNote: the source is a URL whose fragment names the note.
	cutNote bool
}

// gitlabRules are the rows by object_kind; nothing changes it.
var gitlabRules = map[string]gitlabRule{
	"push":          {name: "push", subject: "checkout_sha"},
	"tag_push":      {name: "tag_push", subject: "ref"},
	"issue":         {name: "issue", kind: "object_attributes.state", subject: "object_attributes.iid"},
	"merge_request": {name: "merge_request", kind: "object_attributes.action", subject: "object_attributes.iid", time: "object_attributes.created_at"},
	"wiki_page":     {name: "wiki_page", kind: "object_attributes.action", source: "project.web_url", subject: "object_attributes.slug"},
	"pipeline":      {name: "pipeline", kind: "object_attributes.status", source: "project.web_url", subject: "object_attributes.id"},
	"job":           {name: "job", kind: "job_status", subject: "job_id"},
	"build":         {name: "job", kind: "build_status", subject: "build_id"}, // what job events are called on the wire
}

// gitlabNotes are comments, by object_attributes.noteable_type.
var gitlabNotes = map[string]gitlabRule{
	"Commit":       {name: "note.commit", source: "commit.url"},
	"MergeRequest": {name: "note.merge_request", source: "object_attributes.url", cutNote: true},
	"Issue":        {name: "note.issue", source: "object_attributes.url", cutNote: true},
	"Snippet":      {name: "note.snippet", source: "object_attributes.url", cutNote: true},
}

// gitlabAttributes follows the adapter document, but for the id: where the
// document generates one, GitLab's own keeps redeliveries apart from new events.
func gitlabAttributes(p *payload) attributesFound {
	object := p.first("object_kind", "event_name")
	rule, known := gitlabRules[object]
	if object == "note" {
		rule, known = gitlabNotes[p.text("object_attributes.noteable_type")]
		rule.subject, rule.time = "object_attributes.id", "object_attributes.created_at"
	}
	if !known {
		rule.name = first(object, strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(p.r.header("X-Gitlab-Event"), " Hook")), " ", "_"))
	}
	a := attributesFound{
		id:      gitlabID(p),
		source:  p.first(rule.source, "repository.homepage", "project.web_url", "project.homepage"),
		subject: p.text(rule.subject),
		time:    p.text(rule.time),
	}
	if rule.cutNote {
		a.source, _, _ = strings.Cut(a.source, "#note_")
	}
	if rule.name != "" {
		a.typ = "com.gitlab." + rule.name
	}
	if kind := p.text(rule.kind); kind != "" && a.typ != "" {
		a.typ += "." + kind
	}
	return a
}

// gitlabID is the same for a repetition and another for every other event.
// Events that a webhook sets off in GitLab share the UUID of the one that did
// ("recursive webhooks"), so it counts together with the body.
func gitlabID(p *payload) string {
	if id := p.r.header("Idempotency-Key"); id != "" {
		return id
	}
	id := p.r.header("X-Gitlab-Event-Uuid")
	if id == "" {
		return ""
	}
	sum := sha256.Sum256(p.r.Body)
	return id + "-" + hex.EncodeToString(sum[:6])
}
