from signalbox import context

if context.event.get("type") == "signalbox.job.failed":
    print("failed:", context.params.get("reason"))
else:
    print("statement of", context.event.get("subject") + ":", context.params.get("total"))
