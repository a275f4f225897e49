"""Makes a thumbnail of a PNG picture: its data is the picture, and so is that of what it sends."""

import png
from signalbox import Permanent, context

try:
    picture = png.read(context.event.data)
except ValueError as fault:
    raise Permanent(f"no picture: {fault}")  # trying again would not help

small = png.shrink(picture, context.config["width"])
print(f"{context.event.subject}: {picture.width}x{picture.height} becomes {small.width}x{small.height}")
context.events.send(
    "com.example.thumbnail",
    png.write(small),
    subject=context.event.subject,
    datacontenttype="image/png",
    width=small.width,
    height=small.height,
)
