package app

import (
	"context"
	"path/filepath"
	"time"

	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/scripts"
	"github.com/signalbox-dev/signalbox/ledger"
)

// scriptsConfig is where functions of scripts are run.
func (a *App) scriptsConfig() *functions.ScriptsConfig {
	if !a.opts.has(RoleDispatcher) {
		return nil
	}
	return &functions.ScriptsConfig{Dir: filepath.Join(a.opts.Data, "scripts"), Sender: scriptSender{a}, State: scriptState{a.ledger}}
}

// giveSettings says where functions find their secrets, and where their files are written.
func (a *App) giveSettings(c *functions.Config) {
	c.Secrets, c.MountsDir = a.secrets.Lookup, filepath.Join(a.opts.Data, "mounts")
}

// scriptSender appends what scripts send.
type scriptSender struct{ *App }

// Send implements scripts.Sender: the event is derived from that of the run as a
// reply is.
func (a scriptSender) Send(ctx context.Context, s *scripts.Sent) (event.ReplyRef, error) {
	now := time.Now()
	e := event.Derive(s.Cause, s.Event, event.Hop{Link: s.Link, Version: s.Version, Index: s.Index, Began: event.ChainStart(s.Cause, now), Now: now})
	err := a.replies().AppendEvents(ctx, []dispatcher.Outgoing{{Event: e, TraceParent: s.TraceParent, TraceState: s.TraceState}})
	return event.ReplyRef{Source: e.Source, ID: e.ID, Type: e.Type}, err
}

// scriptState keeps the values of functions in the ledger.
type scriptState struct{ ledger *ledger.Ledger }

// Get implements scripts.State.
func (s scriptState) Get(ctx context.Context, function, key string) (*string, error) {
	return s.ledger.State(ctx, function, key)
}

// Set implements scripts.State.
func (s scriptState) Set(ctx context.Context, function, key, value string) error {
	return s.ledger.SetState(ctx, function, key, value)
}

// Delete implements scripts.State.
func (s scriptState) Delete(ctx context.Context, function, key string) error {
	return s.ledger.DeleteState(ctx, function, key)
}
