package gateway

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/signalbox-dev/signalbox/gateway/problem"
)

// opInvoke is a synchronous call by one method.
func opInvoke(method string) operation {
	op := operation{
		tag: "functions", id: strings.ToLower(method) + "Function",
		summary: "Call a function, as name or name@version, and get its own answer. It gets the request as it is, and in ce- headers what makes it an event of type signalbox.invoke; a request that is an event itself comes as that event, in binary mode.",
		answers: replies([]reply{{200, "Whatever the function answers, with its status and headers", media{contentType: "*/*", schema: schema{}}}, {0, "Whatever the function answers", media{contentType: "*/*", schema: schema{}}}},
			problem.MalformedRequest, problem.InvalidEvent, problem.Denied, problem.Forbidden, problem.NotFound, problem.TooLarge,
			problem.UnsupportedFormat, problem.UnsupportedEncoding, problem.RateLimited, problem.Busy, problem.BadGateway,
			problem.Unavailable, problem.GatewayTimeout),
	}
	if method != fiber.MethodGet && method != fiber.MethodDelete && method != fiber.MethodOptions {
		op.body, op.bodyOptional = []media{{"*/*", schema{}, nil}}, true
	}
	return op
}

// below is the same operation with a path below the function's.
func (o operation) below() operation {
	o.id += "Path"
	return o
}

// opQueue is a call through the log.
var opQueue = operation{
	tag: "functions", id: "callFunctionLater",
	summary: "Call a function, as name or name@version, later: through the log, with retries. It gets the body, with the path and query that follow its name, as an event of type signalbox.invoke, or the event that the request is.",
	params: []param{
		{name: "X-Callback-Url", in: "header", what: "Where the function's answer is posted, or the news that there will be none"},
		{name: "X-Call-Id", in: "header", what: "The id of the call, which is made only once; the default is one that nobody else has"},
	},
	body: []media{{"*/*", schema{}, nil}}, bodyOptional: true,
	answers: replies([]reply{ok(202, "Durable in the log; X-Call-Id is the id", "Queued")},
		problem.MalformedRequest, problem.InvalidEvent, problem.Denied, problem.Forbidden, problem.NotFound, problem.TooLarge, problem.Schema,
		problem.UnsupportedFormat, problem.UnsupportedEncoding, problem.RateLimited, problem.Backlog, problem.Unavailable),
}
