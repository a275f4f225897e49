"""Sends one event with the CloudEvents SDK: emit.py URL binary|structured JSON

JSON is {"attributes": {...}, "data": ...}; data_base64 instead of data sends bytes. Prints the answer as one JSON
line {"status", "headers", "body"}, with body as text; ends with 1 unless the status is 2xx.
"""

import base64
import json
import sys
import urllib.error
import urllib.request
from datetime import datetime

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def event_of(text):
    """The event of the JSON argument. The SDK wants a time as a datetime."""
    given = json.loads(text)
    attributes = dict(given["attributes"])
    if "time" in attributes:
        attributes["time"] = datetime.fromisoformat(attributes["time"].replace("Z", "+00:00"))
    data = given.get("data")
    if "data_base64" in given:
        data = base64.b64decode(given["data_base64"])
    return CloudEvent(attributes, data)


def main():
    url, mode, text = sys.argv[1:]
    encode = {"binary": to_binary_event, "structured": to_structured_event}[mode]
    message = encode(event_of(text))
    request = urllib.request.Request(url, data=message.body, headers=message.headers, method="POST")
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        print(json.dumps({"status": answer.status, "headers": headers, "body": answer.read().decode()}))
    sys.exit(not 200 <= answer.status < 300)


if __name__ == "__main__":
    main()
