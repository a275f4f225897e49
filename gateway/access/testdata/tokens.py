"""Tokens by PyJWT, good ones and bad ones."""
import base64, hashlib, hmac, json
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = 1795262400  # 2026-11-21T12:00:00Z
CLAIMS = {"iss": "https://id.example", "aud": ["signalbox", "other"], "sub": "ada", "iat": NOW - 60, "exp": NOW + 3600, "realm_access": {"roles": ["emitter", "staff"]}}

keys = {
    "py-rsa": (rsa.generate_private_key(65537, 2048), jwt.algorithms.RSAAlgorithm, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
    "py-p256": (ec.generate_private_key(ec.SECP256R1()), jwt.algorithms.ECAlgorithm, ["ES256"]),
    "py-p384": (ec.generate_private_key(ec.SECP384R1()), jwt.algorithms.ECAlgorithm, ["ES384"]),
    "py-p521": (ec.generate_private_key(ec.SECP521R1()), jwt.algorithms.ECAlgorithm, ["ES512"]),
    "py-ed25519": (ed25519.Ed25519PrivateKey.generate(), jwt.algorithms.OKPAlgorithm, ["EdDSA"]),
}
published, tokens = [], []


def add(name, want, token):
    tokens.append({"by": "PyJWT", "name": name, "want": want, "token": token})


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


for kid, (key, algorithm, algs) in keys.items():
    published.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
    for alg in algs:
        add(alg, "", jwt.encode(CLAIMS, key, alg, headers={"kid": kid}))

rsa_key = keys["py-rsa"][0]


def signed(claims, **headers):
    return jwt.encode(claims, rsa_key, "RS256", headers={"kid": "py-rsa", **headers})


add("expired", "expired", signed({**CLAIMS, "exp": NOW - 31}))
add("expired within the skew", "", signed({**CLAIMS, "exp": NOW - 29}))
add("not valid yet", "not valid yet", signed({**CLAIMS, "nbf": NOW + 31}))
add("issued in the future", "not valid yet", signed({**CLAIMS, "iat": NOW + 31}))
add("another issuer", "another issuer", signed({**CLAIMS, "iss": "https://evil.example"}))
add("another audience", "another audience", signed({**CLAIMS, "aud": "other"}))
add("no audience", "another audience", signed({k: v for k, v in CLAIMS.items() if k != "aud"}))
add("no expiry", "no time of expiry", signed({k: v for k, v in CLAIMS.items() if k != "exp"}))
add("no subject", "no subject", signed({k: v for k, v in CLAIMS.items() if k != "sub"}))
add("a control character in the subject", "no subject", signed({**CLAIMS, "sub": "ada\nroot"}))
add("another type", "another type", signed(CLAIMS, typ="logout+jwt"))
add("an access token", "", signed(CLAIMS, typ="at+jwt"))
add("a critical extension", "algorithm", signed(CLAIMS, crit=["exp"]))
add("an unknown key", "does not publish", jwt.encode(CLAIMS, rsa_key, "RS256", headers={"kid": "gone"}))
add("no kid where two keys fit", "does not publish", jwt.encode(CLAIMS, keys["py-p384"][0], "ES384"))
add("a key of another kind", "does not publish", jwt.encode(CLAIMS, rsa_key, "RS256", headers={"kid": "py-p256"}))
add("signed by a stranger", "does not verify", jwt.encode(CLAIMS, rsa.generate_private_key(65537, 2048), "RS256", headers={"kid": "py-rsa"}))
add("none", "algorithm", jwt.encode(CLAIMS, None, "none", headers={"kid": "py-rsa"}))
public = rsa_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
text = b64(json.dumps({"alg": "HS256", "kid": "py-rsa"}).encode()) + "." + b64(json.dumps(CLAIMS).encode())
add("the public key as a secret", "algorithm", text + "." + b64(hmac.new(public, text.encode(), hashlib.sha256).digest()))
head, body, sig = signed(CLAIMS).split(".")
add("claims changed", "does not verify", head + "." + b64(json.dumps({**CLAIMS, "sub": "root"}).encode()) + "." + sig)
add("no signature", "does not verify", head + "." + body + ".")
print(json.dumps({"keys": published, "tokens": tokens}))
