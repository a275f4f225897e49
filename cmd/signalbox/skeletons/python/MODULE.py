from signalbox import context

who = context.params.get("who", "world")
print("greeting", who)
context.events.send("com.example.NAME.answered", {"text": f"{context.config['greeting']}, {who}!"})
