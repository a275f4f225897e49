package webhook

import (
	"mime"
	"strings"
)

// githubRule is a row of the CloudEvents adapter for GitHub
// (cloudevents/adapters/github.md of the specification): where attributes
// other than the usual ones come from. Empty fields are the usual ones: type
// com.github.<event>.<action>, source repository.url, time now.
type githubRule struct {
	// name is what the event is called in the type, where that is not its own name.
	name string
	// kinds are paths of what follows the name in the type instead of action; noKind is nothing.
	kinds  []string
	noKind bool
	// source, subject and time are paths, of which the first that has a value is taken.
	source, subject, time []string
}

var repositoryOwner = []string{"repository.owner.url"}

// githubRules are the rows by X-GitHub-Event; nothing changes it.
var githubRules = map[string]githubRule{
	"check_run":                      {subject: []string{"check_run.id"}, time: []string{"check_run.completed_at", "check_run.started_at"}},
	"check_suite":                    {subject: []string{"check_suite.id"}, time: []string{"check_suite.updated_at"}},
	"commit_comment":                 {subject: []string{"comment.id"}, time: []string{"comment.updated_at"}},
	"content_reference":              {subject: []string{"content_reference.id"}},
	"create":                         {kinds: []string{"ref_type"}, subject: []string{"ref"}},
	"delete":                         {kinds: []string{"ref_type"}, subject: []string{"ref"}},
	"deploy_key":                     {subject: []string{"key.id"}, time: []string{"key.deleted_at", "key.created_at"}},
	"deployment":                     {noKind: true, subject: []string{"deployment.id"}, time: []string{"deployment.updated_at"}},
	"deployment_status":              {kinds: []string{"deployment_status.state"}, source: []string{"deployment.url"}, subject: []string{"deployment_status.url"}, time: []string{"deployment_status.updated_at"}},
	"fork":                           {noKind: true, subject: []string{"forkee.url"}, time: []string{"forkee.created_at"}},
	"github_app_authorization":       {noKind: true, source: []string{"sender.url"}},
	"gollum":                         {noKind: true},
	"installation":                   {source: []string{"installation.account.url"}, subject: []string{"installation.id"}, time: []string{"installation.updated_at"}},
	"installation_repositories":      {name: "installation_repository", source: []string{"installation.account.url"}, subject: []string{"installation.id"}, time: []string{"installation.updated_at"}},
	"issue_comment":                  {source: []string{"issue.url"}, subject: []string{"comment.id"}, time: []string{"comment.updated_at"}},
	"issues":                         {name: "issue", subject: []string{"issue.number"}, time: []string{"issue.updated_at"}},
	"label":                          {subject: []string{"label.name"}},
	"marketplace_purchase":           {subject: []string{"marketplace_purchase.account.login"}, time: []string{"effective_date"}},
	"member":                         {subject: []string{"member.login"}},
	"membership":                     {source: []string{"team.url"}, subject: []string{"member.login"}},
	"meta":                           {subject: []string{"hook_id"}, time: []string{"hook.updated_at"}},
	"milestone":                      {subject: []string{"milestone.number"}, time: []string{"milestone.updated_at"}},
	"organization":                   {source: []string{"organization.url"}, subject: []string{"membership.user.login"}},
	"org_block":                      {source: []string{"organization.url"}, subject: []string{"blocked_user.login"}},
	"page_build":                     {noKind: true, subject: []string{"build.url"}, time: []string{"pusher.updated_at"}},
	"project_card":                   {subject: []string{"project_card.id"}, time: []string{"project_card.updated_at"}},
	"project_column":                 {subject: []string{"project_column.id"}, time: []string{"project_column.updated_at"}},
	"project":                        {subject: []string{"project.id"}, time: []string{"project.updated_at"}},
	"public":                         {noKind: true, source: repositoryOwner, subject: []string{"repository.name"}, time: []string{"repository.updated_at"}},
	"pull_request":                   {subject: []string{"number"}, time: []string{"pull_request.updated_at"}},
	"pull_request_review":            {source: []string{"pull_request.url"}, subject: []string{"review.id"}, time: []string{"review.submitted_at"}},
	"pull_request_review_comment":    {source: []string{"pull_request.url"}, subject: []string{"comment.id"}, time: []string{"pull_request.updated_at"}},
	"push":                           {noKind: true, subject: []string{"ref"}},
	"registry_package":               {subject: []string{"registry_package.html_url"}, time: []string{"registry_package.updated_at"}},
	"release":                        {subject: []string{"release.id"}},
	"repository":                     {source: repositoryOwner, subject: []string{"repository.name"}, time: []string{"repository.updated_at"}},
	"repository_import":              {noKind: true, source: repositoryOwner, subject: []string{"repository.name"}, time: []string{"repository.updated_at"}},
	"repository_vulnerability_alert": {subject: []string{"alert.id"}},
	"security_advisory":              {subject: []string{"security_advisory.ghsa_id"}, time: []string{"security_advisory.updated_at"}},
	"star":                           {time: []string{"starred_at"}},
	"status":                         {kinds: []string{"state"}, subject: []string{"sha"}, time: []string{"updated_at"}},
	"team":                           {subject: []string{"team.id"}, time: []string{"updated_at"}},
	"team_add":                       {subject: []string{"team.id"}},
	"watch":                          {},
}

// githubSource is where an event without repository comes from.
const githubSource = "https://github.com"

// githubAttributes follows the adapter document. Of a form the payload becomes
// the data, as the document wants JSON.
func githubAttributes(p *payload) attributesFound {
	name := p.r.header("X-Github-Event")
	a := attributesFound{id: p.r.header("X-Github-Delivery")}
	if name == "" {
		return a
	}
	rule := githubRules[name]
	a.typ = githubType(p, name, &rule)
	a.source = githubSourceOf(p, name, &rule)
	a.subject, a.time = p.first(rule.subject...), p.first(rule.time...)
	if name == "release" {
		a.time = p.first(releaseTimes(p.text("action"))...)
	}
	if p.r.isForm() && p.body() != nil {
		a.data = []byte(p.form().Get("payload"))
	} else if t, _, err := mime.ParseMediaType(p.r.contentType()); err != nil || t == "text/plain" {
		a.data = p.r.Body
	}
	return a
}

func githubType(p *payload, name string, rule *githubRule) string {
	kind := p.text("action")
	switch {
	case rule.noKind:
		kind = ""
	case len(rule.kinds) > 0:
		kind = p.first(rule.kinds...)
	case name == "membership" && kind != "":
		if scope := p.text("scope"); scope != "" {
			kind = scope + "." + kind
		}
	}
	if rule.name != "" {
		name = rule.name
	}
	if kind == "" {
		return "com.github." + name
	}
	return "com.github." + name + "." + kind
}

func githubSourceOf(p *payload, name string, rule *githubRule) string {
	switch name {
	case "security_advisory":
		return "github.com" // as the document writes it
	case "commit_comment":
		if u, commit := p.text("comment.url"), p.text("comment.commit_id"); u != "" && commit != "" {
			return u + "/" + commit
		}
	case "marketplace_purchase":
		if u := p.text("sender.url"); u != "" {
			return u[:max(strings.LastIndexByte(u, '/'), 0)]
		}
	}
	return first(p.first(rule.source...), p.first("repository.url", "organization.url", "installation.account.url", "sender.url"), githubSource)
}

// releaseTimes: release.<what happened>_at.
func releaseTimes(action string) []string {
	return []string{"release." + action + "_at", "release.published_at", "release.created_at"}
}
