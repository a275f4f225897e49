"""Adds up what a customer has bought. Run once for each event."""

import argparse
import json
import os
import sys

# Exit codes: 0 is done, 65 says that trying again is of no use, all others are tried again.
PERMANENT = 65

arguments = argparse.ArgumentParser()
arguments.add_argument("--customer", required=True)
arguments.add_argument("data")
given = arguments.parse_args()

with open(given.data, encoding="utf-8") as file:
    amounts = json.load(file).get("amounts")
if not isinstance(amounts, list):
    print("no amounts for", given.customer, file=sys.stderr)
    sys.exit(PERMANENT)

print("adding up", len(amounts), "amounts for", given.customer)
currency = json.loads(os.environ["SIGNALBOX_CONFIG"])["currency"]
reply = {
    "type": "com.example.statement.ready",
    "subject": given.customer,
    "datacontenttype": "application/json",
    "data": {"total": f"{sum(amounts):.2f} {currency}"},
}
with open(os.environ["SIGNALBOX_REPLIES"], "a", encoding="utf-8") as replies:
    print(json.dumps(reply), file=replies)
