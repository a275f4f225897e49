// One function with two triggers. `state` outlives the run, and is shared by all workers on all replicas; one worker
// runs one event after the other, so that no sale is lost between get and set.
const { context, Permanent } = require("signalbox");

const { event, state } = context;
const soFar = await state.get("sales", { count: 0, total: 0, last: [] });

if (event.type === "com.example.sale") {
  const amount = context.params.get("amount");
  if (typeof amount !== "number") throw new Permanent("a sale without an amount");
  const key = `${event.source} ${event.id}`;
  if (!soFar.last.includes(key)) { // a repeated delivery is not counted twice
    await state.set("sales", { count: soFar.count + 1, total: soFar.total + amount, last: [...soFar.last, key].slice(-100) });
  }
} else {
  console.log(`${soFar.count} sales, ${soFar.total} in all`);
  await context.events.send("com.example.digest", { count: soFar.count, total: soFar.total, until: event.time });
  await state.set("sales", { count: 0, total: 0, last: soFar.last });
}
