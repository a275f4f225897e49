"""Signs a webhook with the provider's own library.

sign.py PROVIDER SECRET TIMESTAMP URL < body   prints the headers as JSON.
"""

import json
import sys
from datetime import datetime, timezone
from urllib.parse import parse_qsl


def stripe(secret, at, _url, body):
    from stripe import WebhookSignature

    signature = WebhookSignature._compute_signature(f"{at}.{body}", secret)
    return {"Stripe-Signature": f"t={at},v1={signature},v0=ignored"}


def slack(secret, at, _url, body):
    from slack_sdk.signature import SignatureVerifier

    signature = SignatureVerifier(secret).generate_signature(timestamp=str(at), body=body)
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": signature}


def twilio(secret, _at, url, body):
    from twilio.request_validator import RequestValidator

    signature = RequestValidator(secret).compute_signature(url, dict(parse_qsl(body)))
    return {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}


def standard(secret, at, _url, body):
    from standardwebhooks import Webhook

    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(at, timezone.utc), body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def svix(secret, at, _url, body):
    from svix.webhooks import Webhook

    signature = Webhook(secret).sign("msg_2", datetime.fromtimestamp(at, timezone.utc), body)
    return {"svix-id": "msg_2", "svix-timestamp": str(at), "svix-signature": signature}


provider, secret, at, url = sys.argv[1:]
sign = {"stripe": stripe, "slack": slack, "twilio": twilio, "standard": standard, "svix": svix}[provider]
print(json.dumps(sign(secret, int(at), url, sys.stdin.read())))
