package resource

import (
	"strings"
	"testing"
)

func TestCallbacksOfOneHostShareItsLane(t *testing.T) {
	a, err := CallbackTarget("https://Shop.example:8443/done?n=1")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := CallbackTarget("https://shop.example:8443/other")
	c, _ := CallbackTarget("http://shop.example:8443/other")
	if a.Function.Spec.Version != b.Function.Spec.Version || a.Function.Spec.URL != "https://shop.example:8443/" || a.Link.Metadata.Name != "callback:shop.example:8443" {
		t.Errorf("got %+v and %+v", a.Function, b.Function)
	}
	if a.Function.Spec.Version == c.Function.Spec.Version {
		t.Error("http and https share a lane")
	}
	if nameRE.MatchString(CallbackFunction) {
		t.Error("a function may be named as the callbacks are")
	}
}

func TestCallbacksThatCannotBeAreRefused(t *testing.T) {
	for _, url := range []string{"", "shop.example/done", "ftp://shop.example/", "https:///x", "https://u:p@shop.example/", "http:shop", "https://x/" + strings.Repeat("a", 2048)} {
		if err := CheckCallback(url); err == nil {
			t.Errorf("%.40q is taken", url)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
