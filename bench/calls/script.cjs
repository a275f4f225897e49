const { context } = require("signalbox");

context.params.get("bench");
