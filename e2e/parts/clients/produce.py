"""Produces one record with Confluent's client: produce.py BROKERS TOPIC binary|structured|record JSON

binary and structured send a CloudEvent made with the CloudEvents SDK from {"attributes": {...}, "data": ...} (see
emit.py). record sends what is no event: {"key", "value", "headers"}, texts all of them and each may be left out. A
missing topic is made. Prints the record's place as one JSON line. Security: see kafkaconf.py.
"""

import json
import sys

from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from emit import event_of
from kafkaconf import config


def ensure_topic(brokers, topic):
    admin = AdminClient(config(brokers))
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    except KafkaException as failed:
        if failed.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def record_of(mode, text):
    """The arguments of produce() for a mode."""
    if mode == "record":
        given = json.loads(text)
        return {name: given[name] for name in ("key", "value", "headers") if name in given}
    encode = {"binary": to_binary_event, "structured": to_structured_event}[mode]
    message = encode(event_of(text))
    return {"key": message.key, "value": message.value, "headers": message.headers}


def main():
    brokers, topic, mode, text = sys.argv[1:]
    ensure_topic(brokers, topic)
    places = []

    def delivered(error, record):
        if error is not None:
            sys.exit(f"not delivered: {error}")
        places.append({"topic": record.topic(), "partition": record.partition(), "offset": record.offset()})

    producer = Producer(config(brokers, **{"message.timeout.ms": 30000}))
    producer.produce(topic, on_delivery=delivered, **record_of(mode, text))
    producer.flush(35)
    if not places:
        sys.exit("not delivered in time")
    print(json.dumps(places[0]))


if __name__ == "__main__":
    main()
