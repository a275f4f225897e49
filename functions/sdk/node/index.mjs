import sdk from "./index.cjs";

export const { context, Permanent, Retry, mount, serve } = sdk;
