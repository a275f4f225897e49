package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"
)

// runBare is the limit a real program can reach with these libraries: fiber,
// franz-go produce, Kafka, franz-go consume, a fasthttp POST to each sink. No
// choosing, no dedup, no retries, no tracing, no commits beyond auto-commit.
func runBare(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bare", flag.ContinueOnError)
	brokers := fs.String("kafka", "", "brokers")
	topic := fs.String("topic", "bare", "topic")
	sinks := fs.String("sinks", "", "URLs of the functions, separated by commas")
	listen := fs.String("listen", "127.0.0.1:0", "address")
	workers := fs.Int("workers", 64, "calls in flight per function")
	if err := fs.Parse(args); err != nil {
		return err
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(*brokers, ",")...),
		kgo.ConsumerGroup(*topic), kgo.ConsumeTopics(*topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), // a sender waits for each event: the client's default of 10 ms would be all of the latency
		kgo.FetchMaxWait(250*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, 10, -1, nil, *topic); err != nil {
		return err
	}
	b := &bare{client: cl, topic: *topic, http: &fasthttp.Client{MaxConnsPerHost: 4096, MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true}}
	for url := range strings.SplitSeq(*sinks, ",") {
		b.start(ctx, url, *workers)
	}
	defer b.wait()
	go b.consume(ctx)
	return b.serve(ctx, *listen)
}

type bare struct {
	client *kgo.Client
	topic  string
	http   *fasthttp.Client
	queues []chan *kgo.Record
	wg     sync.WaitGroup
}

// start runs the workers of one sink.
func (b *bare) start(ctx context.Context, url string, workers int) {
	queue := make(chan *kgo.Record, 1024)
	b.queues = append(b.queues, queue)
	for range workers {
		b.wg.Go(func() {
			var req fasthttp.Request
			var resp fasthttp.Response
			for {
				select {
				case <-ctx.Done():
					return
				case r := <-queue:
					b.post(&req, &resp, url, r)
				}
			}
		})
	}
}

func (b *bare) wait() { b.wg.Wait() }

func (b *bare) post(req *fasthttp.Request, resp *fasthttp.Response, url string, r *kgo.Record) {
	req.Reset()
	resp.Reset()
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(url)
	for _, h := range r.Headers {
		req.Header.SetBytesV(h.Key, h.Value)
	}
	req.SetBodyRaw(r.Value)
	_ = b.http.DoTimeout(req, resp, 30*time.Second) // the bare pipeline does not retry
}

func (b *bare) consume(ctx context.Context) {
	for ctx.Err() == nil {
		b.client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			for _, q := range b.queues {
				select {
				case q <- r:
				case <-ctx.Done():
				}
			}
		})
	}
}

func (b *bare) serve(ctx context.Context, listen string) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/events", func(c *fiber.Ctx) error {
		r := &kgo.Record{Topic: b.topic, Value: append([]byte(nil), c.Body()...)}
		c.Request().Header.VisitAll(func(k, v []byte) {
			if len(k) > 3 && (k[0] == 'C' && k[1] == 'e' && k[2] == '-') || string(k) == "Content-Type" {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(k), Value: append([]byte(nil), v...)})
			}
		})
		done := make(chan error, 1)
		b.client.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
		if err := <-done; err != nil {
			return err
		}
		return c.SendStatus(fiber.StatusAccepted)
	})
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() {
		<-ctx.Done()
		_ = app.Shutdown()
	}()
	return app.Listener(ln)
}
