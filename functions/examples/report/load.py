from signalbox import Permanent, context

items = context.params.get("items")
if not isinstance(items, list):
    raise Permanent("an order without items")
context.total = sum(item["price"] * item.get("count", 1) for item in items)
