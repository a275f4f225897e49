"""What Schemathesis does not know: how a body of gzip is sent. Whatever it makes up goes as it is."""

import schemathesis


@schemathesis.serializer("application/gzip", "application/octet-stream")
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
