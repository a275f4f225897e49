package event

// Validate reports the first rule of CloudEvents 1.0 that the event breaks, as an *InvalidError.
func (e *Event) Validate() error {
	switch {
	case e.ID == "":
		return &InvalidError{Attribute: "id", Problem: "missing"}
	case e.Source == "":
		return &InvalidError{Attribute: "source", Problem: "missing"}
	case e.Type == "":
		return &InvalidError{Attribute: "type", Problem: "missing"}
	}
	return nil
}
