package main

import (
	"context"
	"fmt"
	"strings"
)

// orderKeys is the number of keys of the row on ordered links.
const orderKeys = 1000

func (cfg config) writeOrder(ctx context.Context, p parts, b *strings.Builder) error {
	rows, err := cfg.each(ctx, p, []setup{
		{name: "order: none", fanout: 5, sample: 0.01, keys: orderKeys, order: "none"},
		{name: "order: key", fanout: 5, sample: 0.01, keys: orderKeys, order: "key"},
	}, cfg.throughput)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n## Order by key\n\nClosed loop, fan-out 5, %d keys.\n\n| links | CPU us per delivery | x first row | deliveries/s | RSS loaded MB |\n| --- | --- | --- | --- | --- |\n", orderKeys)
	return ratioTable(b, rows)
}
