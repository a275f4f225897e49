package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox-dev/signalbox/resource"
)

var now = time.Unix(1_790_000_000, 0)

type vault map[string]string

func (v vault) Lookup(name string) ([]byte, error) {
	if s, ok := v[name]; ok {
		return []byte(s), nil
	}
	return nil, errors.New("secret " + name + ": not there")
}

var (
	standardKey = base64.StdEncoding.EncodeToString([]byte("a key of some thirty-two bytes.."))
	seed        = ed25519.NewKeyFromSeed([]byte("a seed of exactly thirty-two by."))
	secretsOf   = vault{
		"old": "the old one", "new": "the new one", "std-old": "whsec_" + base64.StdEncoding.EncodeToString([]byte("another")),
		"std": "whsec_" + standardKey, "std-pub": "whpk_" + base64.StdEncoding.EncodeToString(seed.Public().(ed25519.PublicKey)),
	}
)

type headers map[string][]string

func (h headers) set(pairs ...string) headers {
	for i := 0; i < len(pairs); i += 2 {
		h[textproto.CanonicalMIMEHeaderKey(pairs[i])] = []string{pairs[i+1]}
	}
	return h
}

func mac(h func() hash.Hash, key, text string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// signed is a webhook that is right, and how it is made: by secret "new", at now.
type signed struct {
	spec    string
	headers func(body string, at time.Time) headers
	body    string
	query   string
	// timed: the signature holds a time. unbound: the body is not signed.
	timed, unbound bool
}

func unix(at time.Time) string { return fmt.Sprint(at.Unix()) }

var schemes = map[string]signed{
	"github": {
		spec: `{"provider":"github","secrets":["old","new"]}`, body: `{"action":"opened"}`,
		headers: func(body string, _ time.Time) headers {
			return headers{}.set("X-GitHub-Event", "issues", "X-GitHub-Delivery", "d-1", "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(sha256.New, secretsOf["new"], body)))
		},
	},
	"github, legacy": {
		spec: `{"provider":"github","secrets":["old","new"],"legacySHA1":true}`, body: `{"action":"opened"}`,
		headers: func(body string, _ time.Time) headers {
			return headers{}.set("X-GitHub-Event", "issues", "X-GitHub-Delivery", "d-1", "X-Hub-Signature", "sha1="+hex.EncodeToString(mac(sha1.New, secretsOf["new"], body)))
		},
	},
	"gitlab": {
		spec: `{"provider":"gitlab","secrets":["old","new"]}`, body: `{"object_kind":"push"}`, unbound: true,
		headers: func(string, time.Time) headers {
			return headers{}.set("X-Gitlab-Token", secretsOf["new"], "X-Gitlab-Event", "Push Hook")
		},
	},
	"stripe": {
		spec: `{"provider":"stripe","secrets":["old","new"]}`, body: `{"id":"evt_1","type":"charge.failed"}`, timed: true,
		headers: func(body string, at time.Time) headers {
			return headers{}.set("Stripe-Signature", "t="+unix(at)+",v1="+strings.Repeat("00", 32)+",v1="+hex.EncodeToString(mac(sha256.New, secretsOf["new"], unix(at)+"."+body))+",v0=zz")
		},
	},
	"slack": {
		spec: `{"provider":"slack","secrets":["old","new"]}`, body: `{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}`, timed: true,
		headers: func(body string, at time.Time) headers {
			return headers{}.set("X-Slack-Request-Timestamp", unix(at), "X-Slack-Signature", "v0="+hex.EncodeToString(mac(sha256.New, secretsOf["new"], "v0:"+unix(at)+":"+body)))
		},
	},
	"shopify": {
		spec: `{"provider":"shopify","secrets":["old","new"]}`, body: `{"id":7}`,
		headers: func(body string, _ time.Time) headers {
			return headers{}.set("X-Shopify-Topic", "orders/create", "X-Shopify-Webhook-Id", "w-1", "X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac(sha256.New, secretsOf["new"], body)))
		},
	},
	"twilio": {
		spec: `{"provider":"twilio","secrets":["old","new"],"publicURL":"https://hooks.example/webhooks/w"}`, body: "To=%2B2&Body=hello+you&From=%2B1&MessageSid=SM1", query: "a=b",
		headers: func(body string, _ time.Time) headers {
			form, _ := url.ParseQuery(body)
			text := "https://hooks.example/webhooks/w?a=b"
			for _, k := range slices.Sorted(func(yield func(string) bool) {
				for k := range form {
					if !yield(k) {
						return
					}
				}
			}) {
				text += k + form.Get(k)
			}
			return headers{}.set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8", "X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, secretsOf["new"], text)))
		},
	},
	"standard": {
		spec: `{"provider":"standard","secrets":["std-old","std"]}`, body: `{"type":"user.created"}`, timed: true,
		headers: func(body string, at time.Time) headers {
			s := base64.StdEncoding.EncodeToString(mac(sha256.New, "a key of some thirty-two bytes..", "msg_1."+unix(at)+"."+body))
			return headers{}.set("Webhook-Id", "msg_1", "Webhook-Timestamp", unix(at), "Webhook-Signature", "v1,AAAA v9,x v1,"+s)
		},
	},
	"svix, ed25519": {
		spec: `{"provider":"standard","secrets":["std-old","std-pub"]}`, body: `{"type":"user.created"}`, timed: true,
		headers: func(body string, at time.Time) headers {
			s := base64.StdEncoding.EncodeToString(ed25519.Sign(seed, []byte("msg_1."+unix(at)+"."+body)))
			return headers{}.set("svix-id", "msg_1", "svix-timestamp", unix(at), "svix-signature", "v1a,"+s)
		},
	},
	"hmac": {
		spec: `{"provider":"hmac","secrets":["old","new"],"hmac":{"header":"X-Sig","algorithm":"sha512","encoding":"base64url","prefix":"v2=","signed":"{id}|{timestamp}|{body}|end","timestampHeader":"X-Time","idHeader":"X-Id"}}`,
		body: "anything", timed: true,
		headers: func(body string, at time.Time) headers {
			return headers{}.set("X-Id", "i-1", "X-Time", unix(at), "X-Sig", "v2="+base64.RawURLEncoding.EncodeToString(mac(sha512.New, secretsOf["new"], "i-1|"+unix(at)+"|"+body+"|end")))
		},
	},
	"basic": {
		spec: `{"provider":"basic","secrets":["old","new"],"user":"me"}`, body: "x", unbound: true,
		headers: func(string, time.Time) headers {
			return headers{}.set("Authorization", "basic "+base64.StdEncoding.EncodeToString([]byte("me:"+secretsOf["new"])))
		},
	},
	"apikey": {
		spec: `{"provider":"apikey","secrets":["old","new"],"header":"x-token"}`, body: "x", unbound: true,
		headers: func(string, time.Time) headers { return headers{}.set("X-Token", secretsOf["new"]) },
	},
}

func compileSpec(t testing.TB, spec string, secrets Secrets) *Hook {
	t.Helper()
	o := resource.Object{APIVersion: resource.APIVersion, Kind: resource.KindWebhook, Metadata: resource.Metadata{Name: "w"}, Spec: []byte(spec)}
	if faults := o.Validate(); faults != nil {
		t.Fatal(faults)
	}
	w := &resource.Webhook{Metadata: o.Metadata}
	if err := json.Unmarshal(o.Spec, &w.Spec); err != nil {
		t.Fatal(err)
	}
	h, faults := Compile(w, secrets)
	if faults != nil {
		t.Fatal(faults)
	}
	return h
}

func request(h headers, query, body string) *Request {
	return &Request{Method: "POST", Query: query, Body: []byte(body), Now: now,
		Values: func(name string) []string { return h[textproto.CanonicalMIMEHeaderKey(name)] }}
}

func refusal(t *testing.T, err error) Reason {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v: want a refusal", err)
	}
	for _, secret := range secretsOf {
		if strings.Contains(r.Detail, secret) || strings.Contains(r.Detail, strings.TrimPrefix(secret, "whsec_")) {
			t.Errorf("%q tells a secret", r.Detail)
		}
	}
	return r.Reason
}

func TestWhatIsSignedRightIsTaken(t *testing.T) {
	for name, s := range schemes {
		t.Run(name, func(t *testing.T) {
			got, err := compileSpec(t, s.spec, secretsOf).Take(request(s.headers(s.body, now.Add(-4*time.Minute)), s.query, s.body))
			if err != nil {
				t.Fatal(err)
			}
			if e := got.Event; e == nil || string(e.Data) != s.body || e.Validate() != nil {
				t.Errorf("the event is %+v", got.Event)
			}
		})
	}
}

func TestWhatIsNotSignedRightIsRefused(t *testing.T) {
	for name, s := range schemes {
		t.Run(name, func(t *testing.T) {
			h := compileSpec(t, s.spec, secretsOf)
			right := func() *Request { return request(s.headers(s.body, now), s.query, s.body) }
			check := func(what string, r *Request, want Reason) {
				t.Helper()
				if _, err := h.Take(r); err == nil {
					t.Errorf("%s: taken", what)
				} else if got := refusal(t, err); got != want {
					t.Errorf("%s: %s (%v), want %s", what, got, err, want)
				}
			}
			if !s.unbound {
				r := right()
				r.Body = append(r.Body, ' ')
				check("another body", r, Unverified)
				r = right()
				r.Body = nil
				check("no body", r, Unverified)
			}
			for _, header := range signatureHeaders(s) {
				for what, values := range map[string][]string{
					"no " + header: nil, "an empty " + header: {""}, "a doubled " + header: {s.headers(s.body, now)[header][0], s.headers(s.body, now)[header][0]},
					"a changed " + header: {change(s.headers(s.body, now)[header][0])}, "a malformed " + header: {"\x00=,,;: zz"},
				} {
					altered := s.headers(s.body, now)
					altered[header] = values
					check(what, request(altered, s.query, s.body), Unverified)
				}
			}
			if s.timed {
				check("an old one", request(s.headers(s.body, now.Add(-6*time.Minute)), s.query, s.body), Expired)
				check("one of the future", request(s.headers(s.body, now.Add(6*time.Minute)), s.query, s.body), Expired)
			}
			others := vault{"old": "1", "new": "2", "std": "whsec_MTIz", "std-old": "not base64", "std-pub": "whpk_MTIz"}
			h = compileSpec(t, s.spec, others)
			check("another secret", right(), Unverified)
			h = compileSpec(t, s.spec, vault{})
			check("no secret", right(), NoSecret)
		})
	}
}

// signatureHeaders are those on which the verification depends.
func signatureHeaders(s signed) []string {
	var all []string
	for name := range s.headers(s.body, now) {
		switch name {
		case "X-Github-Event", "X-Github-Delivery", "X-Gitlab-Event", "X-Shopify-Topic", "X-Shopify-Webhook-Id", "Content-Type":
		default:
			all = append(all, name)
		}
	}
	return all
}

// change alters the last letter or digit that stands for something.
func change(s string) string {
	if strings.HasSuffix(s, ",v0=zz") { // the scheme of stripe that is ignored
		return change(strings.TrimSuffix(s, ",v0=zz"))
	}
	b := []byte(s)
	i := max(len(b)-4, 0) // not in the bits that base64 leaves open
	if b[i] == '1' {
		b[i] = '2'
	} else {
		b[i] = '1'
	}
	return string(b)
}

func TestOneOfTwoSecretsThatCanBeFoundIsEnough(t *testing.T) {
	s := schemes["github"]
	if _, err := compileSpec(t, s.spec, vault{"new": secretsOf["new"]}).Take(request(s.headers(s.body, now), "", s.body)); err != nil {
		t.Error(err)
	}
}

func TestAnEmptySignatureEqualsNoKey(t *testing.T) {
	h := compileSpec(t, `{"provider":"standard","secrets":["std"]}`, vault{"std": "whpk_x"})
	_, err := h.Take(request(headers{}.set("Webhook-Id", "1", "Webhook-Timestamp", unix(now), "Webhook-Signature", "v1, v1,"), "", "{}"))
	if err == nil || refusal(t, err) != Unverified {
		t.Errorf("%v", err)
	}
}

func TestADeliveryThatDoesNotSayWhatItIsIsRefused(t *testing.T) {
	for header, c := range map[string]struct{ scheme, own string }{
		"X-Github-Event":       {"github", `"type":"t"`},
		"X-Github-Delivery":    {"github", `"id":"{body.action}"`},
		"X-Shopify-Topic":      {"shopify", `"type":"t"`},
		"X-Shopify-Webhook-Id": {"shopify", `"id":"{body.id}"`},
	} {
		s := schemes[c.scheme]
		for _, value := range [][]string{nil, {""}} {
			h := s.headers(s.body, now)
			h[header] = value
			if _, err := compileSpec(t, s.spec, secretsOf).Take(request(h, s.query, s.body)); err == nil || refusal(t, err) != Malformed {
				t.Errorf("%s as %q: %v", header, value, err)
			}
			own := strings.TrimSuffix(s.spec, "}") + `,"event":{` + c.own + `}}`
			if _, err := compileSpec(t, own, secretsOf).Take(request(h, s.query, s.body)); err != nil {
				t.Errorf("%s as %q, which %s makes needless: %v", header, value, c.own, err)
			}
		}
	}
}

func TestWhatNamesADeliveryStandsOnce(t *testing.T) {
	for name, header := range map[string]string{"github": "X-Github-Delivery", "shopify": "X-Shopify-Webhook-Id"} {
		s := schemes[name]
		h := s.headers(s.body, now)
		h[header] = append(h[header], "another")
		if _, err := compileSpec(t, s.spec, secretsOf).Take(request(h, s.query, s.body)); err == nil {
			t.Errorf("%s: taken", name)
		} else if got := refusal(t, err); got != Malformed {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTheIDOfADeliveryIsThatOfItsEvent(t *testing.T) {
	for name, want := range map[string]string{"github": "d-1", "stripe": "evt_1", "slack": "Ev1", "shopify": "w-1", "twilio": "SM1", "standard": "msg_1", "svix, ed25519": "msg_1", "hmac": "i-1"} {
		s := schemes[name]
		got, err := compileSpec(t, s.spec, secretsOf).Take(request(s.headers(s.body, now), s.query, s.body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Event.ID != want {
			t.Errorf("%s: the event's id is %s, want %s", name, got.Event.ID, want)
		}
	}
}

func TestManySignaturesCostNoMoreThanOne(t *testing.T) {
	body := strings.Repeat("x", 4<<20)
	h := compileSpec(t, `{"provider":"standard","secrets":["std","std-pub"]}`, secretsOf)
	took := func(list string) time.Duration {
		r := request(headers{}.set("Webhook-Id", "1", "Webhook-Timestamp", unix(now), "Webhook-Signature", list), "", body)
		best := time.Hour
		for range 20 { // the best of them is what it takes on a machine that has other work
			start := time.Now()
			if _, err := h.Take(r); err == nil {
				t.Fatal("taken")
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	forged := base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))
	for version, bound := range map[string]time.Duration{"v1": 8, "v1a": 3 * maxPublicSignatures} {
		one := version + "," + forged + " "
		if single, many := took(one), took(strings.Repeat(one, 200)); many > bound*single {
			t.Errorf("%s: one takes %s, 200 take %s", version, single, many)
		}
	}
}

func TestTheOlderSignatureOfGitHubMustBeAskedFor(t *testing.T) {
	s := schemes["github, legacy"]
	if _, err := compileSpec(t, schemes["github"].spec, secretsOf).Take(request(s.headers(s.body, now), "", s.body)); err == nil {
		t.Error("taken")
	}
	both := schemes["github"].headers("another body", now)
	both["X-Hub-Signature"] = s.headers(s.body, now)["X-Hub-Signature"]
	if _, err := compileSpec(t, s.spec, secretsOf).Take(request(both, "", s.body)); err == nil {
		t.Error("a right old signature beside a wrong new one is taken")
	}
}

func TestWithoutVerificationOnlyThisMachineIsHeard(t *testing.T) {
	h := compileSpec(t, `{"provider":"none"}`, secretsOf)
	r := request(headers{}, "", "x")
	if _, err := h.Take(r); err == nil || refusal(t, err) != NotLoopback {
		t.Errorf("%v", err)
	}
	r.Loopback = true
	got, err := h.Take(r)
	if v, _ := got.Event.Extension("authtype"); err != nil || v != "unauthenticated" {
		t.Errorf("%v, authtype %q", err, v)
	}
}

func TestTwilioSignsJSONByItsHash(t *testing.T) {
	body := `{"a":1}`
	sum := sha256.Sum256([]byte(body))
	query := "bodySHA256=" + hex.EncodeToString(sum[:])
	for _, signedURL := range []string{"https://hooks.example/webhooks/w?", "https://hooks.example:443/webhooks/w?"} {
		h := headers{}.set("Content-Type", "application/json", "X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, "the new one", signedURL+query)))
		hook := compileSpec(t, schemes["twilio"].spec, secretsOf)
		if _, err := hook.Take(request(h, query, body)); err != nil {
			t.Errorf("%s: %v", signedURL, err)
		}
		if _, err := hook.Take(request(h, query, body+" ")); err == nil {
			t.Error("another body is taken")
		}
	}
}
