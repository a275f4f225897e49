package clock

night if time.clock(time.parse_rfc3339_ns(input.time))[0] >= 22
