package ledger

import "strings"

// keepUID gives the write the uid of the resource it replaced, as changeScript
// did inside Redis.
func (w *write) keepUID() error {
	if !w.done || w.object == nil || w.before == "" {
		return nil
	}
	old, err := decodeStored(w.field, w.before)
	if err != nil || old.Metadata.UID == "" {
		return err
	}
	w.body = strings.Replace(w.body, w.object.Metadata.UID, old.Metadata.UID, 1)
	w.object.Metadata.UID = old.Metadata.UID
	return nil
}
