//go:build unix

package scripts

import "testing"

func TestScriptsMayHaveTheNamesOfModulesThatTheWorkerNeeds(t *testing.T) {
	r := newRig(t)
	fn := r.function("python", nil, `import json, signalbox, helper
from signalbox import context
print("read", json.loads("[1]"), helper.answer, context.params)
`)
	for _, name := range []string{"json.py", "signalbox.py", "struct.py", "base64.py", "traceback.py", "token.py", "resource.py", "re.py", "types.py"} {
		r.write(name, "raise RuntimeError('imported instead')\n")
	}
	r.write("helper.py", "answer = 42\n")
	if got := r.run(fn, "1", `{"a":1}`); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r.awaitLine("read [1] 42 Params({'a': 1})")
}
