package webhook

import (
	"strings"

	"github.com/signalbox-dev/signalbox/resource"
)

// attributesFound are an event's attributes as a provider's rules find them;
// "" is not found. data, unless nil, is JSON that stands for the body.
type attributesFound struct {
	id, typ, source, subject, time string
	data                           []byte
}

// attributes are the rules of one provider.
type attributes func(p *payload) attributesFound

func attributesOf(s *resource.WebhookSpec) attributes {
	switch s.Provider {
	case resource.ProviderGitHub:
		return githubAttributes
	case resource.ProviderGitLab:
		return gitlabAttributes
	case resource.ProviderStripe:
		return stripeAttributes
	case resource.ProviderSlack:
		return slackAttributes
	case resource.ProviderShopify:
		return shopifyAttributes
	case resource.ProviderTwilio:
		return twilioAttributes
	case resource.ProviderStandard:
		return standardAttributes
	case resource.ProviderHMAC:
		return func(p *payload) attributesFound { return attributesFound{id: p.r.header(s.HMAC.IDHeader)} }
	}
	return nil
}

// headersOf are the headers that a provider's rules read. One that is there twice
// says two things, of which the sender means one at most.
func headersOf(s *resource.WebhookSpec) []string {
	switch s.Provider {
	case resource.ProviderGitHub:
		return []string{"X-Github-Event", "X-Github-Delivery"}
	case resource.ProviderGitLab:
		return []string{"X-Gitlab-Event", "X-Gitlab-Event-Uuid", "Idempotency-Key"}
	case resource.ProviderShopify:
		return []string{"X-Shopify-Topic", "X-Shopify-Shop-Domain", "X-Shopify-Webhook-Id", "X-Shopify-Event-Id", "X-Shopify-Triggered-At"}
	case resource.ProviderTwilio:
		return []string{"I-Twilio-Idempotency-Token"}
	case resource.ProviderHMAC:
		if s.HMAC.IDHeader != "" {
			return []string{s.HMAC.IDHeader}
		}
	}
	return nil
}

// naming is an attribute that a provider always says, by one of these headers.
type naming struct {
	attribute string
	headers   []string
}

// namesOf are those of the providers whose bodies do not say what they are.
func namesOf(provider string) []naming {
	switch provider {
	case resource.ProviderGitHub:
		return []naming{{"type", []string{"X-GitHub-Event"}}, {"id", []string{"X-GitHub-Delivery"}}}
	case resource.ProviderShopify:
		return []naming{{"type", []string{"X-Shopify-Topic"}}, {"id", []string{"X-Shopify-Webhook-Id", "X-Shopify-Event-Id"}}}
	}
	return nil
}

// stripeAttributes: the body is Stripe's Event object.
func stripeAttributes(p *payload) attributesFound {
	a := attributesFound{id: p.text("id"), subject: p.text("data.object.id"), time: p.text("created"), source: "https://api.stripe.com"}
	if account := p.text("account"); account != "" {
		a.source += "/v1/accounts/" + account
	}
	if t := p.text("type"); t != "" {
		a.typ = "com.stripe." + t
	}
	return a
}

// slackAttributes: event_callback wraps the event; interactions and commands
// are forms.
func slackAttributes(p *payload) attributesFound {
	form := p.form()
	a := attributesFound{id: p.text("event_id"), time: p.text("event_time"), subject: p.first("event.channel", "channel.id")}
	kind := p.first("event.type", "type")
	if command := form.Get("command"); command != "" {
		kind, a.subject, a.id = "slash_command", command, form.Get("trigger_id")
	}
	if a.id == "" {
		a.id = p.text("trigger_id")
	}
	if kind != "" {
		a.typ = "com.slack." + kind
	}
	if team := first(p.first("team_id", "team.id"), form.Get("team_id")); team != "" {
		a.source = "https://slack.com/teams/" + team
	}
	if raw := form.Get("payload"); raw != "" && p.body() != nil {
		a.data = []byte(raw)
	}
	return a
}

// shopifyAttributes: what it is about stands in the headers.
func shopifyAttributes(p *payload) attributesFound {
	a := attributesFound{
		id: first(p.r.header("X-Shopify-Webhook-Id"), p.r.header("X-Shopify-Event-Id")), subject: p.text("id"),
		time: first(p.r.header("X-Shopify-Triggered-At"), p.first("updated_at", "created_at")),
	}
	if topic := p.r.header("X-Shopify-Topic"); topic != "" {
		a.typ = "com.shopify." + strings.ReplaceAll(topic, "/", ".")
	}
	if shop := p.r.header("X-Shopify-Shop-Domain"); shop != "" {
		a.source = "https://" + shop
	}
	return a
}

// twilioAttributes: a form about a message or a call. A status that changes is
// another event, so the id is the object's with its status; Twilio's token for
// repetitions goes before it.
func twilioAttributes(p *payload) attributesFound {
	form := p.form()
	a := attributesFound{typ: "com.twilio.event", subject: first(form.Get("MessageSid"), form.Get("CallSid"), p.first("MessageSid", "CallSid"))}
	switch {
	case form.Get("MessageSid") != "":
		a.typ = "com.twilio.message"
	case form.Get("CallSid") != "":
		a.typ = "com.twilio.call"
	}
	status := first(form.Get("MessageStatus"), form.Get("SmsStatus"), form.Get("CallStatus"))
	if status != "" {
		a.typ += "." + status
	}
	if account := form.Get("AccountSid"); account != "" {
		a.source = "https://api.twilio.com/2010-04-01/Accounts/" + account
	}
	a.id = p.r.header("I-Twilio-Idempotency-Token")
	if a.id == "" && a.subject != "" {
		a.id = strings.Trim(strings.Join([]string{a.subject, status, form.Get("SequenceNumber")}, "-"), "-")
	}
	return a
}

// standardAttributes: Standard Webhooks recommends type, timestamp and data.
func standardAttributes(p *payload) attributesFound {
	prefix := standardPrefix(p.r)
	return attributesFound{
		id: p.r.header(prefix + "Id"), typ: p.text("type"), time: first(p.text("timestamp"), p.r.header(prefix+"Timestamp")),
	}
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
