package tracing

// traceParentLen is the length of a traceparent of version 00.
const traceParentLen = 55

// ParseTraceParent reads a traceparent header (W3C Trace Context level 2,
// section 3.2). Version 00 is exactly 55 characters; a higher one is read by
// its first 55, which may be followed by more after a dash. It refuses version
// ff, ids that are all zero, upper-case digits and everything else the grammar
// does not have; the Context is then zero.
func ParseTraceParent(s string) (Context, bool) { return parseTraceParent(s) }

func parseTraceParent[T ~string | ~[]byte](s T) (Context, bool) {
	if len(s) < traceParentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return Context{}, false
	}
	version, ok := hexByte(s[0], s[1])
	switch {
	case !ok || version == 0xff:
		return Context{}, false
	case version == 0 && len(s) != traceParentLen:
		return Context{}, false
	case len(s) > traceParentLen && s[traceParentLen] != '-':
		return Context{}, false
	}
	var c Context
	if !hexBytes(c.TraceID[:], s[3:35]) || !hexBytes(c.SpanID[:], s[36:52]) || !c.IsValid() {
		return Context{}, false
	}
	flags, ok := hexByte(s[53], s[54])
	if !ok {
		return Context{}, false
	}
	c.Flags = flags & (flagSampled | flagRandom)
	return c, true
}

// hexBytes decodes lower-case digits; encoding/hex would take upper-case too.
func hexBytes[T ~string | ~[]byte](dst []byte, s T) bool {
	for i := range dst {
		b, ok := hexByte(s[2*i], s[2*i+1])
		if !ok {
			return false
		}
		dst[i] = b
	}
	return true
}

func hexByte(high, low byte) (byte, bool) {
	h, okh := hexDigit(high)
	l, okl := hexDigit(low)
	return h<<4 | l, okh && okl
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	}
	return 0, false
}
