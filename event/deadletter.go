package event

// Message is the dead letter as a record of the topic signalbox.dead.
func (d *DeadLetter) Message() Message { return Message{} }

// ParseDeadLetter reads what Message wrote.
func ParseDeadLetter(m Message) (DeadLetter, error) { return DeadLetter{}, errTodo }

// DeadLetterID names the dead letter of one delivery.
func DeadLetterID(pos Position, link string) string { return "" }
