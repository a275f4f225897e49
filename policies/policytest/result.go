package policytest

// Outcome is how a test ended.
type Outcome string

// The outcomes.
const (
	Pass  Outcome = "pass"
	Fail  Outcome = "fail"
	Error Outcome = "error"
	Skip  Outcome = "skip"
)

// Result is what became of one Rego test or one case.
type Result struct {
	// Kind is rego or case.
	Kind string `json:"kind"`
	File string `json:"file"`
	Line int    `json:"line"`
	// Name is package and rule, or the name of the case.
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Problems say what is not as expected, a line each.
	Problems []string `json:"problems,omitempty"`
	// Why says of every link why it was chosen or not; cases only.
	Why []Why `json:"why,omitempty"`
	// Output is what the test printed.
	Output string `json:"output,omitempty"`
	// Exported is the rule that stands for the case in what Export writes; "" if
	// there is none.
	Exported string `json:"exported,omitempty"`
	// Milliseconds is how long it took.
	Milliseconds float64 `json:"ms"`
}

// Why is one link's part in a case.
type Why struct {
	Link string `json:"link"`
	Why  string `json:"why"`
	// Chosen: the link got the event.
	Chosen bool `json:"chosen"`
}

// Report is all of a run.
type Report struct {
	Tests   []Result `json:"tests"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Errors  int      `json:"errors"`
	Skipped int      `json:"skipped"`
}

func (r *Report) add(one Result) {
	r.Tests = append(r.Tests, one)
	switch one.Outcome {
	case Pass:
		r.Passed++
	case Fail:
		r.Failed++
	case Error:
		r.Errors++
	case Skip:
		r.Skipped++
	}
}

// Good reports whether nothing failed.
func (r *Report) Good() bool { return r.Failed+r.Errors == 0 }
