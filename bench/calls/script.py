from signalbox import context

context.params.get("bench")
