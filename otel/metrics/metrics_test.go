package metrics

import (
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const document = "../../docs/metrics.md"

// table is docs/metrics.md as the definitions say it.
func table(m *Metrics) string {
	var b strings.Builder
	b.WriteString("# Metrics\n\n" +
		"`GET /metrics` answers in the Prometheus text format or OpenMetrics. Beside the ones below it has those of the Go\n" +
		"runtime (`go_…`) and of the process (`process_…`). Durations are in seconds. `function` is the name of an existing\n" +
		"function: when one is deleted, its series go with it.\n\n" +
		"This table is checked by the test of `otel/metrics`; `go test ./otel/metrics -update` writes it.\n\n" +
		"| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, d := range m.defs {
		labels := ""
		if len(d.labels) > 0 {
			labels = "`" + strings.Join(d.labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.name, d.kind, labels, d.help)
	}
	return b.String()
}

func TestDocumentListsEveryMetric(t *testing.T) {
	want := table(New())
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/metrics.md differs from the code: run go test ./otel/metrics -update")
	}
}

// scrape is the answer of Handler.
func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("status %d", rec.Code)
	}
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestScrapeShowsEveryDefinedFamilyOnceUsed(t *testing.T) {
	m := New()
	m.Refused("too_large").Inc()
	m.BundlePolls("authz", "applied").Inc()
	m.BundleFresh("authz").Set(1)
	m.Dropped("duplicate").Inc()
	m.SchemaViolation("order", "warn")
	m.Lag(map[int32]int64{3: 7})
	m.CatchUp(map[string]int64{"l": 1})
	m.Replays(map[string]int64{"r": 1})
	m.Redriven("delivered")
	m.Function("thumbs").Retried("status_503")
	m.Function("thumbs").Dead("status_400")
	m.Function("thumbs").Parked("full")
	useContainers(m)
	m.Unsent("logs", 3, true)
	usePolicies(m)
	body := scrape(t, m)
	for _, d := range m.defs {
		if !strings.Contains(body, "# TYPE "+d.name+" "+d.kind+"\n") {
			t.Errorf("%s (%s) is not in the answer", d.name, d.kind)
		}
	}
	for _, line := range []string{
		`signalbox_events_refused_total{reason="too_large"} 1`,
		`signalbox_consumer_lag_records{partition="3"} 7`,
		`signalbox_otlp_dropped_total{signal="logs"} 3`,
		`signalbox_function_lines_dropped_total{function="thumbs",reason="rate"} 0`,
		`signalbox_deliveries_retried_total{class="status_503",function="thumbs"} 1`,
		`signalbox_containers{function="thumbs",state="ready"} 2`,
		`signalbox_container_calls_waiting{function="thumbs"} 4`,
		`signalbox_container_start_duration_seconds_bucket{function="thumbs",le="0.4"} 1`,
		`signalbox_container_failures_total{cause="memory",function="thumbs"} 1`,
		`signalbox_artifact_uses_total{result="here"} 0`,
		`signalbox_policy_memo_off{policy="freeze",reason="reads input.time"} 1`,
		`signalbox_policy_failures_total{class="budget",policy="freeze"} 1`,
		`signalbox_policy_shadow_total{difference="stops",policy="next"} 1`,
		`signalbox_policy_evaluation_duration_seconds_count{stage="trigger"} 1`,
		`go_goroutines `, `process_cpu_seconds_total `, `signalbox_build_info{`,
	} {
		if !strings.Contains(body, line) {
			t.Errorf("%q is not in the answer", line)
		}
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	m := New()
	m.Refused("x")
	m.Dropped("x")
	m.Lag(map[int32]int64{0: 1})
	m.CatchUp(map[string]int64{"l": 1})
	m.Replays(map[string]int64{"r": 1})
	m.Redriven("delivered")
	f := m.Function("x")
	f.Retried("x")
	f.Dead("x")
	f.Parked("x")
	useContainers(m)
	usePolicies(m)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func useContainers(m *Metrics) {
	m.Containers(map[string]Containers{"thumbs": {Starting: 1, Ready: 2, Stopping: 3, Waiting: 4}})
	m.Function("thumbs").ContainerReady(300 * time.Millisecond)
	m.Function("thumbs").ContainerFailed("memory")
}

func TestAFunctionWithoutContainersLeavesNoSeriesOfThem(t *testing.T) {
	m := New()
	useContainers(m)
	late := m.Function("thumbs")
	m.Containers(map[string]Containers{"other": {}})
	if body := scrape(t, m); strings.Contains(body, `signalbox_containers{function="thumbs"`) || strings.Contains(body, `waiting{function="thumbs"`) || !strings.Contains(body, `signalbox_containers{function="other"`) {
		t.Errorf("the gauges of a function that runs elsewhere now are left:\n%s", body)
	}
	m.Forget("thumbs")
	late.ContainerFailed("exit")
	late.ContainerReady(time.Second)
	if body := scrape(t, m); strings.Contains(body, "thumbs") {
		t.Errorf("series of a function that is gone are left:\n%s", body)
	}
}

func usePolicies(m *Metrics) {
	m.SetPolicies([]string{"freeze", "next"}, map[string]string{"freeze": "reads input.time"})
	m.PolicyFailed("freeze", "budget")
	m.PolicyWouldDiffer("next", "stops")
	m.PolicyEvaluation("trigger").Observe(.00002)
}

func TestPoliciesThatAreGoneLeaveNoSeries(t *testing.T) {
	m := New()
	usePolicies(m)
	m.SetPolicies([]string{"next"}, nil)
	body := scrape(t, m)
	if strings.Contains(body, `policy="freeze"`) {
		t.Errorf("series of a policy that is gone are left:\n%s", body)
	}
	if !strings.Contains(body, `signalbox_policy_shadow_total{difference="stops",policy="next"} 1`) {
		t.Error("the policy that stays lost its series")
	}
}

func TestForgottenFunctionLeavesNoSeries(t *testing.T) {
	m := New()
	for _, name := range []string{"stays", "goes", "went"} {
		f := m.Function(name)
		f.Delivered.Inc()
		f.Duration.Observe(1)
		f.Depth.Set(2)
		f.Parked("full")
		f.Retried("refused")
		f.Dead("refused")
	}
	old := m.Function("goes")
	m.Forget("goes")
	m.Retain([]string{"stays"})
	old.Delivered.Inc()
	old.Retried("late")
	old.Dead("late")
	old.Parked("late")
	body := scrape(t, m)
	if strings.Contains(body, "goes") || strings.Contains(body, "went") {
		t.Errorf("series of a forgotten function are left:\n%s", body)
	}
	if n := strings.Count(body, `function="stays"`); n == 0 {
		t.Error("the function that stays lost its series")
	}
	m.Function("goes").Delivered.Inc()
	if body := scrape(t, m); !strings.Contains(body, `signalbox_deliveries_delivered_total{function="goes"} 1`) {
		t.Error("a function made again does not begin at zero")
	}
}

func TestWhatIsOverLeavesNoSeries(t *testing.T) {
	m := New()
	m.Lag(map[int32]int64{1: 5, 2: 6})
	m.Lag(map[int32]int64{2: 7}) // 1 belongs to another process now
	m.Replays(map[string]int64{"done": 1})
	m.Replays(nil)
	body := scrape(t, m)
	if strings.Contains(body, `partition="1"`) || !strings.Contains(body, `signalbox_consumer_lag_records{partition="2"} 7`) {
		t.Errorf("the lag is not that of partition 2 alone:\n%s", body)
	}
	if strings.Contains(body, "signalbox_replay_records{") {
		t.Error("the series of a replay that is over is left")
	}
}

func TestTwoSetsOfMetricsAreIndependent(t *testing.T) {
	a, b := New(), New()
	a.Accepted.Inc()
	if !strings.Contains(scrape(t, b), "\nsignalbox_events_accepted_total 0\n") {
		t.Error("the other registry counted too")
	}
}

func TestForgetRacesWithUse(t *testing.T) {
	m := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				m.Function("f").Retried("x")
				m.Forget("f")
			}
		})
	}
	wg.Wait()
	if strings.Contains(scrape(t, m), `function="f"`) {
		t.Error("a series came back after Forget")
	}
}

func BenchmarkDelivered(b *testing.B) {
	f := New().Function("f")
	b.ReportAllocs()
	for b.Loop() {
		f.Delivered.Inc()
		f.Duration.Observe(.003)
	}
}
