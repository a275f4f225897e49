const { context } = require("signalbox");

console.log(`summary of ${context.event.subject}: ${context.params.get("total")}`);
