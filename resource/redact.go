package resource

import "strings"

// Redact returns a text in which no URL has a user name and a password, for
// what repeats what somebody wrote where no credentials belong.
func Redact(text string) string {
	const mark = "://"
	var b strings.Builder
	for {
		at := strings.Index(text, mark)
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:at+len(mark)])
		text = text[at+len(mark):]
		if end := userEnd(text); end > 0 {
			b.WriteString("…@")
			text = text[end:]
		}
	}
}

// userEnd is where, in what follows ://, the user's part ends, behind its @; 0 is
// that there is none. A password may hold slashes that should have been escaped:
// what is between a colon and them is no port then.
func userEnd(text string) int {
	if end := strings.IndexAny(text, " \t\r\n\"'`<>"); end >= 0 {
		text = text[:end]
	}
	last := strings.LastIndexByte(text, '@')
	if last < 0 {
		return 0
	}
	authority := text
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		authority = text[:end]
	}
	if end := strings.LastIndexByte(authority, '@'); end >= 0 {
		return end + 1
	}
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.Trim(authority[colon+1:], "0123456789") == "" {
		return 0
	}
	return last + 1
}
