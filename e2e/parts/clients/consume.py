"""Prints a topic from its start with Confluent's client: consume.py BROKERS TOPIC COUNT SECONDS

One JSON line a record: topic, partition, offset, timestamp (ms), key, headers as [name, value] pairs and value, texts
where they are UTF-8 and {"base64"} where not; event is what the CloudEvents SDK reads, in the JSON event format,
absent where the record is none. Ends with 1 when fewer than COUNT came within SECONDS. Security: see kafkaconf.py.
"""

import base64
import json
import sys
import time
import uuid

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, KafkaError, KafkaException

from kafkaconf import config


def text(value):
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def line(record):
    headers = record.headers() or []
    out = {
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "timestamp": record.timestamp()[1],
        "key": text(record.key()),
        "headers": [[name, text(value)] for name, value in headers],
        "value": text(record.value()),
    }
    names = {name for name, _ in headers}
    content_type = dict(headers).get("content-type", b"")
    if "ce_specversion" in names or content_type.startswith(b"application/cloudevents"):
        try:
            event = from_kafka_event(KafkaMessage(dict(headers), record.key(), record.value() or b""))
            out["event"] = json.loads(JSONFormat().write(event))
        except (BaseCloudEventException, ValueError):
            pass  # marked as an event, and is none
    return json.dumps(out)


def main():
    brokers, topic = sys.argv[1:3]
    count, deadline = int(sys.argv[3]), time.monotonic() + float(sys.argv[4])
    consumer = Consumer(
        config(brokers, **{"group.id": f"consume-{uuid.uuid4()}", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    )
    consumer.subscribe([topic])
    seen = 0
    while seen < count and time.monotonic() < deadline:
        record = consumer.poll(0.2)
        # The topic may come later.
        if record is None or record.error() and record.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            continue
        if record.error():
            raise KafkaException(record.error())
        print(line(record), flush=True)
        seen += 1
    consumer.close()
    sys.exit(seen < count)


if __name__ == "__main__":
    main()
