// The program of job images in the end-to-end tests. `job open` lets one that
// waits go on.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

const gate = "/tmp/open"

func main() {
	if len(os.Args) > 1 && os.Args[1] == "open" {
		check(os.WriteFile(gate, nil, 0o600))
		return
	}
	data, err := os.ReadFile(os.Getenv("SIGNALBOX_DATA"))
	check(err)
	fmt.Println("begun", os.Getenv("CE_ID"), strings.Join(os.Args[1:], " "))
	switch {
	case strings.Contains(string(data), "wait"):
		for n := 0; ; n++ {
			if _, err := os.Stat(gate); err == nil {
				break
			}
			fmt.Println("line", n)
			time.Sleep(50 * time.Millisecond)
		}
	case strings.Contains(string(data), "fail"):
		fmt.Fprintln(os.Stderr, "no such picture")
		os.Exit(3)
	case strings.Contains(string(data), "greedy"):
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
			clear(all[len(all)-1])
		}
	}
	reply, err := json.Marshal(map[string]any{"type": "com.test.made", "subject": os.Getenv("CE_ID"), "data": map[string]any{"uid": os.Getuid(), "args": os.Args[1:]}})
	check(err)
	f, err := os.OpenFile(os.Getenv("SIGNALBOX_REPLIES"), os.O_WRONLY|os.O_APPEND, 0)
	check(err)
	_, err = f.Write(append(reply, '\n'))
	check(err)
	check(f.Close())
	fmt.Println("done")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
