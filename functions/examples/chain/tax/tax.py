"""A function: answers com.example.order.totalled with com.example.order.taxed,
which has the tax added. Its rate is the manifest's config."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PERCENT = json.loads(os.environ.get("SIGNALBOX_CONFIG") or "{}").get("percent", 20)


class Tax(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            order = json.loads(body)
            order["tax"] = order["total"] * PERCENT // 100
        except (ValueError, KeyError, TypeError) as fault:
            self.answer(400, {"Content-Type": "text/plain"}, f"want an order with a total: {fault}")
            return
        order["total"] += order["tax"]
        print(f"tax {order['tax']}", flush=True)
        self.answer(
            200,
            {
                "ce-specversion": "1.0",
                "ce-type": "com.example.order.taxed",
                "ce-source": "/examples/chain/tax",
                "ce-id": self.headers["ce-id"] + "-taxed",
                "Content-Type": "application/json",
            },
            json.dumps(order),
        )

    def answer(self, status, headers, text):
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Tax).serve_forever()
