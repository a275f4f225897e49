"""A function that takes only what the vendors' libraries of Standard Webhooks verify.

receive.py SECRET   prints its port, then a JSON line for each request: its headers, and by which library it was
refused, if it was. It answers 204, or 400 with the library's own words.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import standardwebhooks
import svix.webhooks

secret = sys.argv[1]


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k.lower(): v for k, v in self.headers.items()}
        refused = ""
        for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
            try:
                library(secret).verify(body, headers)
            except Exception as e:
                refused = f"{library.__module__}: {e or type(e).__name__}"
        # In one piece: print writes the end of the line by itself, and requests come side by side.
        sys.stdout.write(json.dumps({"headers": headers, "body": body.decode(), "refused": refused}) + "\n")
        sys.stdout.flush()
        text = refused.encode()
        self.send_response(400 if refused else 204)
        if refused:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if refused:
            self.wfile.write(text)

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
