package policies

import (
	"context"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	_ "embed"
)

//go:embed trigger_test.rego
var triggerCases string

//go:embed admission_test.rego
var admissionCases string

//go:embed management_test.rego
var managementCases string

// TestShippedPolicies runs the cases beside the shipped policies.
func TestShippedPolicies(t *testing.T) {
	for pkg, src := range map[string][2]string{
		"signalbox.trigger_test":    {shippedTrigger, triggerCases},
		"signalbox.admission_test":  {shippedAdmission, admissionCases},
		"signalbox.management_test": {shippedManagement, managementCases},
	} {
		cases := ast.MustParseModule(src[1])
		for _, r := range cases.Rules {
			name := ruleName(r)
			if !strings.HasPrefix(name, "test_") {
				continue
			}
			t.Run(name, func(t *testing.T) {
				rs, err := rego.New(rego.Query("data."+pkg+"."+name), rego.Module("p.rego", src[0]), rego.Module("t.rego", src[1])).Eval(context.Background())
				if err != nil || !rs.Allowed() {
					t.Errorf("%v, error %v", rs, err)
				}
			})
		}
	}
}
