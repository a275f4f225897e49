package replay

import "testing"

// FuzzCursors reads notes as anybody with rights to the group may write them.
func FuzzCursors(f *testing.F) {
	for _, s := range []string{"", "{}", `{"from":3,"sent":[[0,3],[7,9]]}`, `{"from":-1}`, `{"sent":[[1]]}`, `{"from":1,"to":9,"parked":2}`, "null", "[]"} {
		f.Add(int64(5), s)
	}
	f.Fuzz(func(t *testing.T, offset int64, notes string) {
		if h, err := parseHeld(Cursor{Offset: offset, Metadata: notes}); err == nil {
			h.wasSent(offset)
			h = h.holding(max(offset, 0))
			h = h.goneLive(max(offset, 0) + 1)
			back, err := parseHeld(h.cursor())
			if err != nil || back.live() != h.live() || len(back.sent) != len(h.sent) {
				t.Errorf("%+v came back as %+v, %v", h, back, err)
			}
		}
		if g, err := parseProgress(Cursor{Offset: offset, Metadata: notes}); err == nil {
			if back, err := parseProgress(g.cursor()); err != nil || back != g {
				t.Errorf("%+v came back as %+v, %v", g, back, err)
			}
		}
	})
}
