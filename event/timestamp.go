package event

import (
	"strings"
	"time"
)

// Timestamp parses the time attribute; the zero time when it is absent or
// wrong. A leap second is the moment after second 59.
func (e *Event) Timestamp() time.Time {
	if !validTime(e.Time) {
		return time.Time{}
	}
	s, leap := e.Time, time.Duration(0)
	if s[10] == 't' || s[len(s)-1] == 'z' {
		s = strings.ToUpper(s)
	}
	if s[17] == '6' {
		s, leap = s[:17]+"59"+s[19:], time.Second
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t.Add(leap)
}

// validTime checks a date-time of RFC 3339 section 5.6. time.Parse takes some
// that are none (a comma before the fraction, a one-digit hour) and refuses
// some that are (lower-case t and z, leap seconds).
func validTime(s string) bool {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return false
	}
	year := digits(s[0:4])
	month, day := digits(s[5:7]), digits(s[8:10])
	if year < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return false
	}
	if !within(s[11:13], 23) || !within(s[14:16], 59) || !within(s[17:19], 60) {
		return false
	}
	zone := s[19:]
	if zone[0] == '.' {
		n := 1
		for n < len(zone) && isDigit(zone[n]) {
			n++
		}
		if n == 1 || n == len(zone) {
			return false
		}
		zone = zone[n:]
	}
	if zone[0]|0x20 == 'z' {
		return len(zone) == 1
	}
	return len(zone) == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && within(zone[1:3], 23) && within(zone[4:6], 59)
}

// digits is the value of s, -1 when it holds anything but digits.
func digits(s string) int {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func within(s string, high int) bool {
	n := digits(s)
	return n >= 0 && n <= high
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
