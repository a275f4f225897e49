"""How produce.py and consume.py reach the broker.

Plain text unless KAFKA_SASL_USER is set: then SASL_SSL with SCRAM-SHA-512, KAFKA_SASL_PASSWORD and KAFKA_CA.
"""

import os


def config(brokers, **more):
    conf = {"bootstrap.servers": brokers, **more}
    if user := os.environ.get("KAFKA_SASL_USER"):
        conf |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": os.environ["KAFKA_SASL_PASSWORD"],
            "ssl.ca.location": os.environ["KAFKA_CA"],
        }
    return conf
