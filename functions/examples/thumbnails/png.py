"""As much of PNG as the example needs: 8 bits a colour, not interlaced. For more there is Pillow: name it in a
requirements.txt and say `requirements: requirements.txt` in the manifest."""

import struct
import zlib
from typing import List, NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Colours of a pixel by colour type: grey, RGB, grey with alpha, RGBA.
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
MOST_PIXELS = 16_000_000


class Picture(NamedTuple):
    width: int
    height: int
    kind: int
    rows: List[bytes]


def read(data: object) -> Picture:
    if not isinstance(data, bytes) or not data.startswith(SIGNATURE):
        raise ValueError("want a PNG")
    header, body, at = b"", b"", len(SIGNATURE)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IHDR":
            header = data[at + 8 : at + 8 + length]
        elif name == b"IDAT":
            body += data[at + 8 : at + 8 + length]
        at += length + 12
    if len(header) != 13:
        raise ValueError("it has no header")
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if depth != 8 or kind not in CHANNELS or interlaced or not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"{width}x{height}, {depth} bits, colour type {kind}: want 8 bits, no palette, not interlaced")
    size = width * CHANNELS[kind]
    try:
        raw = zlib.decompressobj().decompress(body, (size + 1) * height)
    except zlib.error as fault:
        raise ValueError(str(fault)) from None
    if len(raw) < (size + 1) * height:
        raise ValueError("it ends early")
    rows, above = [], bytes(size)
    for y in range(height):
        start = y * (size + 1)
        above = unfilter(raw[start], raw[start + 1 : start + 1 + size], above, CHANNELS[kind])
        rows.append(above)
    return Picture(width, height, kind, rows)


def unfilter(how: int, line: bytes, above: bytes, step: int) -> bytes:
    """Takes back what was done to a line so that it packs better (PNG, section 9)."""
    out = bytearray(line)
    for i in range(len(out)):
        left = out[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        if how == 1:
            out[i] = (out[i] + left) & 255
        elif how == 2:
            out[i] = (out[i] + above[i]) & 255
        elif how == 3:
            out[i] = (out[i] + (left + above[i]) // 2) & 255
        elif how == 4:
            near = left + above[i] - corner
            best = min((abs(near - left), 0, left), (abs(near - above[i]), 1, above[i]), (abs(near - corner), 2, corner))
            out[i] = (out[i] + best[2]) & 255
        elif how != 0:
            raise ValueError(f"filter {how}")
    return bytes(out)


def shrink(picture: Picture, width: int) -> Picture:
    """Every so many pixels of every so many lines; a smaller picture stays as it is."""
    if picture.width <= width:
        return picture
    height = max(1, picture.height * width // picture.width)
    step = CHANNELS[picture.kind]
    rows = []
    for y in range(height):
        line = picture.rows[y * picture.height // height]
        columns = (x * picture.width // width * step for x in range(width))
        rows.append(b"".join(line[x : x + step] for x in columns))
    return Picture(width, height, picture.kind, rows)


def write(picture: Picture) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, picture.kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in picture.rows))
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
