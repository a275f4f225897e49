"""Writes a PNG to try the example with."""

import sys

import png

rows = [b"".join(bytes((x % 256, y % 256, (x * y) % 256)) for x in range(320)) for y in range(240)]
sys.stdout.buffer.write(png.write(png.Picture(320, 240, 2, rows)))
