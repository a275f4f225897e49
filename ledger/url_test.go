package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestURLNamesServersAndCredentials(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"redis://h", "mode 0 tls false [h:6379] user  password  master  db 0"},
		{"redis://h:1/3", "mode 0 tls false [h:1] user  password  master  db 3"},
		{"rediss://u:p%40%2F@h:1", "mode 0 tls true [h:1] user u password p@/ master  db 0"},
		{"redis://:p@[::1]:7", "mode 0 tls false [[::1]:7] user  password p master  db 0"},
		{"redis://[::1]", "mode 0 tls false [[::1]:6379] user  password  master  db 0"},
		{"redis://u:p@q@h", "mode 0 tls false [h:6379] user u password p@q master  db 0"},
		{"redis+sentinel://u:p@a:1,b/main/2", "mode 1 tls false [a:1 b:26379] user u password p master main db 2"},
		{"rediss+sentinel://a/main", "mode 1 tls true [a:26379] user  password  master main db 0"},
		{"redis+cluster://a:1,b:2", "mode 2 tls false [a:1 b:2] user  password  master  db 0"},
		{"rediss+cluster://u:p@a:1,b:2?ca=x&servername=s", "mode 2 tls true [a:1 b:2] user u password p master  db 0"},
	} {
		a, err := parseURL(c.url)
		got := fmt.Sprintf("mode %d tls %v %v user %s password %s master %s db %d", a.mode, a.tls, a.hosts, a.user, a.password, a.master, a.db)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.url, got, err, c.want)
		}
	}
}

func TestWrongURLIsRefusedWithoutItsPassword(t *testing.T) {
	for _, u := range []string{
		"", "hunter2", "http://u:hunter2@h", "redis://u:hunter2@", "redis://u:hunter2@h:0", "redis://u:hunter2@h:x", "redis://u:hunter2@a,b",
		"redis://u:hunter2%zz@h", "redis://u:hunter2@h/x", "redis://u:hunter2@h/-1", "redis+sentinel://u:hunter2@h", "redis+sentinel://u:hunter2@h/",
		"redis+cluster://u:hunter2@h/1", "redis://u:hunter2@h?ca=x", "redis://u:hunter2@h?hunter2=1", "redis://h?sentinel_password=hunter2",
		"redis://u:hunter2@a:b:c", "redis://u:hunter2@h?a=%zz", "redis://hunter2/x@h:1",
	} {
		_, err := parseURL(u)
		if err == nil {
			t.Errorf("%s was taken", u)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", u, err)
		}
	}
}

func TestRedactHidesUserPasswordAndParameters(t *testing.T) {
	for in, want := range map[string]string{
		"redis://h:1/2":                                   "redis://h:1/2",
		"redis://u:hunter2@h:1/2":                         "redis://xxxxx@h:1/2",
		"redis://u:hun?ter2@h":                            "redis://xxxxx",
		"redis+sentinel://h/m?sentinel_password=hunter2":  "redis+sentinel://h/m",
		"redis+sentinel://h/m?sentinel_password=hun@ter2": "redis+sentinel://xxxxx",
		"hunter2": "(not a redis URL)",
	} {
		if got := Redact(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"redis://u:p@h:1/2", "rediss+sentinel://a,b:2/m/1?sentinel_password=x", "redis+cluster://[::1]:1,b", "redis://%", "://", "redis:///?@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseURL(s)
		if err == nil && len(a.hosts) == 0 {
			t.Errorf("%q: taken without a host", s)
		}
		_ = Redact(s)
		if got := Redact("redis://user:hunter2" + s + "@host"); strings.Contains(got, "hunter2") {
			t.Errorf("%q: %s", s, got)
		}
	})
}

func TestConfigNamesEveryFault(t *testing.T) {
	cfg := Config{URL: "redis://h", CertFile: "c", KeyPrefix: "a{b"}
	err := cfg.validate()
	for _, field := range []string{"CertFile", "KeyPrefix", "DedupWindow", "DedupBuckets", "Timeout", "HistoryTimeout", "PollInterval"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("no word of %s: %v", field, err)
		}
	}
	good := DefaultConfig()
	good.URL = "redis://h"
	if err := good.validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

func TestTLSFilesAreChecked(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"a CA without TLS":         func(c *Config) { c.URL, c.CAFile = "redis://h", empty },
		"a CA that is not there":   func(c *Config) { c.URL = "rediss://h?ca=" + filepath.Join(dir, "none") },
		"a CA that is empty":       func(c *Config) { c.URL, c.CAFile = "rediss://h", empty },
		"a certificate, no key":    func(c *Config) { c.URL = "rediss://h?cert=" + empty },
		"a certificate of nothing": func(c *Config) { c.URL, c.CertFile, c.KeyFile = "rediss://h", empty, empty },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if client, err := Connect(cfg); err == nil {
			client.Close()
			t.Errorf("%s was taken", name)
		}
	}
}
