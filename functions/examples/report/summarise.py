from prices import show
from signalbox import context

orders = context.state.get("orders", 0) + 1
context.state.set("orders", orders)
print("order", context.event.subject, "is the", orders, "one")
context.events.send(
    "com.example.order.summary",
    {"total": show(context.total, context.config["currency"]), "orders": orders},
    subject=context.event.subject,
)
