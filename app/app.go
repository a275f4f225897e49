package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/signalbox-dev/signalbox/artifacts"
	"github.com/signalbox-dev/signalbox/dispatcher"
	"github.com/signalbox-dev/signalbox/event"
	"github.com/signalbox-dev/signalbox/eventlog"
	logbroker "github.com/signalbox-dev/signalbox/eventlog/embedded"
	"github.com/signalbox-dev/signalbox/functions"
	"github.com/signalbox-dev/signalbox/functions/container"
	"github.com/signalbox-dev/signalbox/functions/kube/cluster"
	"github.com/signalbox-dev/signalbox/gateway"
	"github.com/signalbox-dev/signalbox/ledger"
	redisserver "github.com/signalbox-dev/signalbox/ledger/embedded"
	"github.com/signalbox-dev/signalbox/otel/export"
	"github.com/signalbox-dev/signalbox/otel/logging"
	"github.com/signalbox-dev/signalbox/otel/metrics"
	"github.com/signalbox-dev/signalbox/otel/tracing"
	"github.com/signalbox-dev/signalbox/outbound"
	"github.com/signalbox-dev/signalbox/policies"
	"github.com/signalbox-dev/signalbox/replay"
	"github.com/signalbox-dev/signalbox/schedule"
	"github.com/signalbox-dev/signalbox/secrets"
)

// Hooks are what the caller wants to hear of; all are optional. They are
// called concurrently and must not block.
type Hooks struct {
	// Log gets the log lines.
	Log io.Writer
	// Ready is called once everything is started.
	Ready func(Addresses)
	// Delivered is called with every run record.
	Delivered func(*event.Run)
	// FunctionOutput is called with each line a local function prints.
	FunctionOutput func(event.Log)
	// Manifests is a directory to apply and watch; "" is none. Applied is
	// called after each time, with what stands in it or with what is wrong.
	Manifests string
	Applied   func(summary string, err error)
	// Warned is called with what a change of the manifests makes wrong: cycles,
	// functions that nothing leads to, types nobody listens to.
	Warned func(text string)
	// Edited, when set, makes functions run what their authors save in the directories
	// of their files, and is called with what came of it.
	Edited func(text string)
}

// Addresses say where a started process is found.
type Addresses struct {
	HTTP, Kafka, Redis, Data string
}

// App is one process, made by New and run once by Run.
type App struct {
	opts    Options
	hooks   Hooks
	log     *slog.Logger
	metrics *metrics.Metrics
	traces  *tracing.Provider

	// broker and redis are nil unless embedded.
	broker   *logbroker.Broker
	redis    *redisserver.Server
	events   *eventlog.Log
	ledger   *ledger.Ledger
	dedup    deduper
	engine   *policies.Engine
	registry *functions.Registry
	// secrets are those that resources name.
	secrets *secrets.Store
	// cluster is where functions of Kubernetes and Knative run.
	cluster *cluster.Cluster
	// callers know what calls of functions present, and functionCA who may sign
	// the certificates of functions; nil is the system's authorities.
	callers    *outbound.Callers
	functionCA *outbound.Roots
	reloads    *reloader
	// resources are what the API and the manifests of dev write to.
	resources *resourceStore
	// decisions is the decision log.
	decisions *decisionLog
	// lines are what functions print; exported is where they go, and metrics, over OTLP.
	lines    *lineDesk
	exported *export.Exporter
	// bundles are polled; nil where there are none.
	bundles *bundlePolls
	// types is the catalogue of the types of events.
	types *typeDesk
	// schemas check the data of events.
	schemas schemaDesk
	// artifacts are the files of functions; artifactCache has those that run here,
	// nil where none do.
	artifacts     *artifacts.Store
	artifactCache *artifacts.Cache
	// containers run functions that are images; nil without the role dispatcher.
	containers *container.Runtime
	// letters are the dead letters and what was decided about them.
	letters *letterIndex
	// schedules fire; nil where nothing is delivered.
	schedules *schedule.Scheduler
	// webhooks are those in force.
	webhooks webhookDesk
	// targets are the resources of what is parked.
	targets targets
	// resolutions are decisions on their way to the dispatcher.
	resolutions *resolutions
	// backlog is what new events are refused by.
	backlog *backlog

	dispatcher *dispatcher.Dispatcher
	// player sends what lies behind the live stream; nil where nothing is delivered.
	player *replay.Player
	server *gateway.Server
	// manifestsRead is set once the directory of manifests was read, applied or refused.
	manifestsRead atomic.Bool
}

// New checks the options and makes a process that has not started anything.
func New(opts Options, hooks Hooks) (*App, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if hooks.Log == nil {
		hooks.Log = io.Discard
	}
	log, err := logging.New(hooks.Log, logging.Config{Format: opts.LogFormat, Level: opts.LogLevel})
	if err != nil {
		return nil, err
	}
	return &App{opts: opts, hooks: hooks, log: log, metrics: metrics.New()}, nil
}

// Run starts everything, runs until ctx ends or a part fails, and stops
// everything: intake first, then what is under way is finished and committed.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	if err := a.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	return runAll(ctx, a.log, a.components())
}

// open connects to the parts and builds the components, without running them.
func (a *App) open(ctx context.Context) error {
	steps := []func(context.Context) error{
		a.openTracing, a.openExport, a.openLog, a.openLetters, a.openLedger, a.openArtifacts, a.openFunctions, a.openPolicies, a.openReplay, a.openDispatcher, a.openSchedules, a.openGateway,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) openFunctions(context.Context) error {
	if err := a.openCallers(); err != nil {
		return err
	}
	cfg := functions.DefaultConfig()
	cfg.Log = a.log
	a.openLines()
	cfg.Output = a.functionOutput
	if told := a.hooks.Edited; told != nil {
		cfg.Changed = func(c functions.Change) { told(edited(c)) }
	}
	cfg.Scripts = a.scriptsConfig()
	if a.artifactCache != nil {
		cfg.Artifacts = a.artifactCache
	}
	a.giveSettings(&cfg)
	cfg.Environ = a.opts.inherited(cfg.Environ)
	var err error
	if cfg.Runtimes, err = a.runtimes(); err != nil {
		return err
	}
	a.registry, err = functions.New(cfg)
	return err
}

// edited says what came of a file that was saved.
func edited(c functions.Change) string {
	switch {
	case c.Err != nil:
		return fmt.Sprintf("%s changed, and function %s does not run with it, so the one before goes on: %v", c.File, c.Function, c.Err)
	case c.Runs:
		return fmt.Sprintf("%s changed: function %s runs it after %d ms", c.File, c.Function, c.Took.Milliseconds())
	}
	return fmt.Sprintf("%s changed: function %s starts again", c.File, c.Function)
}

func (a *App) openPolicies(context.Context) error {
	cfg := policies.DefaultConfig()
	cfg.Budget = a.opts.PolicyTimeout
	cfg.Logger = a.log
	cfg.Observer, cfg.Shadow = a.policyObserver(), a.shadowDiffers
	var err error
	if a.engine, err = policies.New(cfg); err != nil {
		return err
	}
	a.schemas.metrics, a.schemas.decisions, a.schemas.log = a.metrics, a.decisions, a.log
	a.reloads = newReloader(a)
	a.bundles, err = a.openBundles()
	return err
}

// replies is the way into the log for what functions answer and send.
func (a *App) replies() *dispatcherLog {
	return &dispatcherLog{log: a.events, traces: a.traces, topic: a.topic(eventlog.Events), metrics: a.metrics, schemas: &a.schemas}
}

func (a *App) openDispatcher(context.Context) error {
	if !a.opts.has(RoleDispatcher) {
		return nil
	}
	cfg := dispatcher.DefaultConfig()
	cfg.Dedup = dispatcher.DedupMode(a.opts.DedupAway)
	cfg.MaxHops, cfg.MaxChain, cfg.Slots = a.opts.MaxHops, a.opts.MaxChain, a.opts.Slots
	cfg.MaxChainAge = a.opts.MaxChainAge
	cfg.QueueSize = a.opts.QueueLength
	cfg.DrainTimeout = a.opts.DrainTimeout
	rules, err := a.opts.functionRules()
	if err != nil {
		return err
	}
	callbacks, err := a.opts.callbackRules()
	if err != nil {
		return err
	}
	urls := &endpoints{Endpoints: a.registry}
	a.dispatcher, err = dispatcher.New(cfg, dispatcher.Parts{
		Deduper:   a.dedup,
		Chooser:   chooser{a.engine},
		Endpoints: urls,
		Dial:      urls.dialer(rules, cfg.ConnectTimeout),
		Callers:   callers{a.callers},
		Roots:     a.functionCA.Pool,
		Parking:   parkedTopics{a.events},
		Targets:   &a.targets,
		Cursors:   a.player,
		Letters:   heldLetters{a.letters},
		Rates:     counts{a.ledger},
		Chains:    counts{a.ledger},
		Log:       a.replies(),
		Tracer:    &deliveryTracer{traces: a.traces, group: consumerGroup},
		Observer:  a.observer(),
		Logger:    a.log,

		DialCallback: dialCallbacks(callbacks, cfg.ConnectTimeout),
		CallbackCall: a.opts.callbackCall(),
	})
	return err
}

func (a *App) openGateway(context.Context) error {
	a.webhooks.secrets = a.secrets
	cfg := gateway.DefaultConfig()
	cfg.Addr = a.opts.HTTP
	cfg.HealthOnly = !a.opts.has(RoleGateway)
	cfg.TLS = gateway.TLSConfig{CertFile: a.opts.TLSCert, KeyFile: a.opts.TLSKey, ClientCAFile: a.opts.TLSClientCA}
	var err error
	if cfg.Access, err = a.opts.AccessOptions.config(); err != nil {
		return err
	}
	a.warnOfAccess()
	cfg.StopDelay = a.opts.StopDelay
	cfg.MaxBody, cfg.MaxHeader = a.opts.MaxBody, a.opts.MaxHeader
	cfg.Ingest.MaxBatch = a.opts.MaxBatch
	cfg.Ingest.AcceptTimeout = a.opts.AcceptTimeout
	cfg.Ingest.WebhookAllowedOrigins = a.opts.WebhookOrigins
	a.backlog = newBacklog(a.events, backlogLimits{a.opts.MaxBacklog, a.opts.MaxBacklogBytes}, func() bool { return a.events.Stats().Full }, a.metrics, a.log)
	reader := &logReader{log: a.events}
	most := 0
	if a.redis != nil {
		most = maxEmbeddedApply
	}
	a.opts.FrontOptions.apply(&cfg)
	a.resources = &resourceStore{
		most: most, artifacts: a.artifacts,
		ledger: a.ledger, await: a.reloads.await,
		replays: &replayDesk{ledger: a.ledger, past: pastLog{a.events}, now: time.Now},
		access:  func(link string) string { return a.engine.Snapshot().Access(link) },
		running: a.running,
	}
	letters, explain := a.letterDesk(), a.explainer(reader)
	deps := gateway.Deps{
		Appender:       &appender{log: a.events, traces: a.traces, topic: a.topic(eventlog.Events), backlog: a.backlog},
		Resources:      a.resources,
		Reader:         pastReader{reader, letters},
		Letters:        letters,
		Deliveries:     a.deliveryDesk(),
		WhatIfs:        newWhatIfs(a),
		Artifacts:      artifactDesk{a.artifacts},
		Explainer:      explain,
		Tracer:         &traceDesk{explain, a.opts.TraceURL},
		Admitter:       admitter{a.engine},
		Manager:        a.manager(),
		Recorder:       decisionRecorder{a.decisions},
		Validator:      &a.schemas,
		Graphs:         &graphDesk{ledger: a.ledger, types: a.types},
		Catalogue:      a.types,
		Webhooks:       &a.webhooks,
		Filter:         compileFilter,
		Traces:         a.traces,
		Metrics:        &intakeMetrics{metrics: a.metrics},
		MetricsHandler: a.metrics.Handler(),
		Checks:         a.checks(),
		Logger:         a.log,
	}
	if err := a.callFunctions(&deps); err != nil {
		return err
	}
	a.server, err = gateway.New(cfg, deps)
	return err
}

var errManifestsUnread = errors.New("the manifests are not applied yet")

// errNotConsuming is a dispatcher that gets nothing to deliver yet.
var errNotConsuming = errors.New("the consumer has not joined its group")

// checks are what readiness asks. The ledger is not among them: events are
// accepted and delivered without it.
func (a *App) checks() []gateway.Check {
	checks := []gateway.Check{
		{Name: "log", Probe: a.events.Ping},
		{Name: "resources", Probe: a.reloads.loaded},
	}
	if a.hooks.Manifests != "" {
		checks = append(checks, gateway.Check{Name: "manifests", Probe: func(context.Context) error {
			if !a.manifestsRead.Load() {
				return errManifestsUnread
			}
			return nil
		}})
	}
	if a.opts.has(RoleDispatcher) {
		checks = append(checks, gateway.Check{Name: "dispatcher", Probe: func(context.Context) error {
			if !a.events.Stats().Joined {
				return errNotConsuming
			}
			return nil
		}})
	}
	return checks
}

// components are in the order of starting; they stop in the reverse one.
func (a *App) components() []component {
	const grace = 10 * time.Second
	list := []component{{name: "functions", run: a.registry.Run, grace: grace}, {name: "resources", run: a.reloads.run, grace: grace}}
	if a.dispatcher != nil {
		list = append(list,
			component{name: "types", run: a.watchTypes, grace: grace},
			component{name: "dispatcher", run: a.dispatcher.Run, grace: a.opts.DrainTimeout + grace},
			component{name: "replay", run: a.player.Run, grace: grace},
			component{name: "consumer", run: a.consume, grace: a.opts.DrainTimeout + grace},
			component{name: "resolutions", run: a.resolve, grace: grace},
			component{name: "schedules", run: a.runSchedules, grace: grace},
			component{name: "gauges", run: a.watchGauges, grace: grace},
		)
	}
	if a.opts.has(RoleGateway) {
		list = append(list, component{name: "backlog", run: a.backlog.run, grace: grace}, component{name: "artifacts", run: a.sweepArtifacts, grace: grace})
	}
	list = append(list, component{name: "dead letters", run: a.letters.run, grace: grace})
	list = append(list, component{name: "gateway", run: a.server.Run, grace: a.opts.StopDelay + a.opts.AcceptTimeout + 2*grace})
	if a.bundles != nil {
		list = append(list, component{name: "policy bundles", run: a.bundles.run, grace: grace})
	}
	if a.hooks.Manifests != "" {
		list = append(list, component{name: "manifests", run: a.watchManifests, grace: grace})
	}
	if a.opts.PProf != "" {
		list = append(list, component{name: "pprof", run: a.serveProfiles, grace: grace})
	}
	return append(list, component{name: "ready", run: a.announce, grace: grace})
}

// consume delivers until ctx ends; nothing is chosen for before the resources are loaded.
func (a *App) consume(ctx context.Context) error {
	if err := a.reloads.first(ctx); err != nil {
		return nil // stopped before anything was loaded
	}
	return a.events.Consume(ctx, owner{a.dispatcher, a.player, a.reloads.catchUp})
}

func (a *App) watchManifests(ctx context.Context) error {
	applied := a.hooks.Applied
	if applied == nil {
		applied = func(string, error) {}
	}
	if err := a.reloads.first(ctx); err != nil {
		return nil // stopped before anything was loaded
	}
	m := &manifestDir{dir: a.hooks.Manifests, store: a.resources, decisions: a.decisions, log: a.log, applied: applied, first: func() { a.manifestsRead.Store(true) }}
	if m.warned = a.hooks.Warned; m.warned != nil {
		m.graph = (&graphDesk{ledger: a.ledger, types: a.types}).Graph
	}
	return m.run(ctx)
}

// announce tells the caller when everything is ready.
func (a *App) announce(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !a.ready(ctx) {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	if a.hooks.Ready != nil {
		a.hooks.Ready(a.addresses())
	}
	a.log.Info("ready", "version", Version(), "http", a.server.Addr(), "roles", a.opts.Roles)
	<-ctx.Done()
	return nil
}

func (a *App) ready(ctx context.Context) bool {
	if a.server.Addr() == "" {
		return false
	}
	for _, c := range a.checks() {
		if c.Probe(ctx) != nil {
			return false
		}
	}
	return true
}

func (a *App) addresses() Addresses {
	where := Addresses{HTTP: a.server.Addr(), Kafka: a.opts.Kafka, Redis: ledger.Redact(a.opts.Redis), Data: "none here"}
	if a.broker != nil {
		where.Kafka, where.Data = a.broker.Addr()+" (embedded)", a.opts.Data
	}
	if a.redis != nil {
		where.Redis = a.redis.Addr() + " (embedded)"
	}
	return where
}

// close ends the connections, in the reverse order of opening. Telemetry is
// flushed first, within a bound.
func (a *App) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	failed := func(what string, err error) {
		if err != nil {
			a.log.Warn("closing "+what, "error", err)
		}
	}
	if a.callers != nil {
		a.callers.Close()
	}
	if a.traces != nil {
		failed("traces", a.traces.Shutdown(ctx))
	}
	failed("OTLP", a.exported.Shutdown(ctx))
	if a.artifactCache != nil {
		a.artifactCache.Close()
	}
	if a.ledger != nil {
		failed("ledger", a.ledger.Close())
	}
	if a.events != nil {
		failed("event log", a.events.Close(ctx))
	}
	if a.redis != nil {
		failed("embedded Redis", a.redis.Close())
	}
	if a.broker != nil {
		failed("embedded Kafka", a.broker.Close())
	}
}

// topic is a topic's name on the broker.
func (a *App) topic(t eventlog.Topic) string { return fmt.Sprint(a.opts.TopicPrefix, t) }
