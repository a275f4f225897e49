package resource

import (
	"strings"
	"testing"
)

func TestWebhookValidation(t *testing.T) {
	for spec, want := range map[string]string{
		`{"provider":"github","secrets":["gh"],"legacySHA1":true}`: "",
		`{"provider":"none"}`: "",
		`{"provider":"hmac","secrets":["a","b"],"hmac":{"header":"X-Sig","signed":"v0:{timestamp}:{body}","timestampHeader":"X-Time"}}`:    "",
		`{"provider":"twilio","secrets":["t"],"publicURL":"https://h.example/webhooks/t","event":{"extensions":{"tenant":"{form.From}"}}}`: "",
		`{"provider":"gitea","secrets":["a"]}`:                                                    "spec.provider",
		`{"provider":"github"}`:                                                                   "spec.secrets: empty",
		`{"provider":"none","secrets":["a"]}`:                                                     "verifies nothing",
		`{"provider":"github","secrets":["../etc/passwd"]}`:                                       "spec.secrets[0]",
		`{"provider":"github","secrets":["a"],"tolerance":"2h"}`:                                  "1s to 1h",
		`{"provider":"twilio","secrets":["a"]}`:                                                   "spec.publicURL",
		`{"provider":"stripe","secrets":["a"],"publicURL":"https://x/"}`:                          "only with provider twilio",
		`{"provider":"hmac","secrets":["a"]}`:                                                     "spec.hmac: missing",
		`{"provider":"github","secrets":["a"],"hmac":{"header":"X"}}`:                             "only with provider hmac",
		`{"provider":"hmac","secrets":["a"],"hmac":{"header":"X Y"}}`:                             "spec.hmac.header",
		`{"provider":"hmac","secrets":["a"],"hmac":{"header":"X","algorithm":"md5"}}`:             "spec.hmac.algorithm",
		`{"provider":"hmac","secrets":["a"],"hmac":{"header":"X","signed":"{timestamp}"}}`:        "want {body}",
		`{"provider":"hmac","secrets":["a"],"hmac":{"header":"X","signed":"{timestamp}.{body}"}}`: "spec.hmac.timestampHeader",
		`{"provider":"hmac","secrets":["a"],"hmac":{"header":"X","timestampHeader":"T"}}`:         "not signed",
		`{"provider":"hmac","secrets":["a"],"hmac":{"header":"X","signed":"{body}{url}"}}`:        "{id} only",
		`{"provider":"basic","secrets":["a"],"user":"a:b"}`:                                       "spec.user",
		`{"provider":"none","event":{"extensions":{"id":"x"}}}`:                                   "spec.event.extensions",
		`{"provider":"apikey","secrets":["a"],"header":"X-Key","verifyToken":"A"}`:                "spec.verifyToken",
		`{"provider":"slack","secrets":["a","b","c","d","e","f","g","h","i","j","k"]}`:            "at most 10",
	} {
		o := Object{APIVersion: APIVersion, Kind: KindWebhook, Metadata: Metadata{Name: "w"}, Spec: []byte(spec)}
		faults := o.Validate()
		if want == "" && faults != nil || want != "" && !strings.Contains(faults.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", spec, faults, want)
		}
	}
}
