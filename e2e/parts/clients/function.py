"""A function that receives and answers with the CloudEvents SDK, under Flask. Set by the environment:

PORT           the loopback port to listen on
CE_REPLY_TYPE  the type of the event it answers with; unset: 202 and an empty body
CE_REPLY_MODE  binary (default) or structured
RECORD         a file that gets each event as a JSON line, in the JSON event format
"""

import json
import logging
import os

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from flask import Flask, request

app = Flask(__name__)


@app.get("/health")
def health():
    return "", 200


@app.post("/")
def receive():
    event = from_http_event(HTTPMessage(dict(request.headers), request.get_data()))
    if record := os.environ.get("RECORD"):
        # One write of a line to a file opened for append stays whole, whoever else writes.
        with open(record, "ab", buffering=0) as lines:
            lines.write(json.dumps(json.loads(JSONFormat().write(event))).encode() + b"\n")
    reply_type = os.environ.get("CE_REPLY_TYPE")
    if not reply_type:
        return "", 202
    reply = CloudEvent(
        {"type": reply_type, "source": "/clients/python", "datacontenttype": "application/json"},
        {"got": event.get_id(), "type": event.get_type()},
    )
    encode = to_structured_event if os.environ.get("CE_REPLY_MODE") == "structured" else to_binary_event
    message = encode(reply)
    return message.body, 200, message.headers


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]), threaded=True)
