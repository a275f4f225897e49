const { context } = require("signalbox");

const who = context.params.get("who", "world");
console.log("greeting", who);
await context.events.send("com.example.NAME.answered", { text: `${context.config.greeting}, ${who}!` });
