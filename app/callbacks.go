package app

import (
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/gateway/access"
	"github.com/signalbox-dev/signalbox/netguard"
	"github.com/signalbox-dev/signalbox/resource"
)

// callbackRules are the addresses at which callers may want their answers. Whoever may call a
// function chooses them, so the network inside is closed unless it is opened; who
// keeps to this machine may use what he can reach anyhow.
func (o *Options) callbackRules() (netguard.Rules, error) {
	if len(o.CallbackNetworks) > 0 {
		return netguard.Parse(o.CallbackNetworks)
	}
	here := access.Loopback(o.HTTP)
	return netguard.Rules{Public: true, Private: here, Loopback: here}, nil
}

// dialCallbacks dials by rules; no name or program is known to be good.
func dialCallbacks(rules netguard.Rules, timeout time.Duration) dispatcher.Dial {
	return rules.Dialer(net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second})
}

// checkCallback says at once what is wrong with a URL for answers, as far as that shows
// without a look at names.
func checkCallback(rules netguard.Rules) func(string) error {
	return func(raw string) error {
		if err := resource.CheckCallback(raw); err != nil {
			return err
		}
		u, err := url.Parse(raw)
		if err != nil {
			return err
		}
		if address, err := netip.ParseAddr(u.Hostname()); err == nil {
			return rules.Check(address)
		}
		return nil
	}
}

// callbackCall is what answers to callers present; nil is nothing.
func (o *Options) callbackCall() *resource.Call {
	if len(o.CallbackSecrets) == 0 {
		return nil
	}
	return &resource.Call{Sign: &resource.CallSign{Secrets: o.CallbackSecrets}}
}
