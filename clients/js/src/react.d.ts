import type { Channel, Records, RelayClient, Schema } from "./client.js";
import type { Snapshot } from "./store.js";

/**
 * The rows of a channel, whether they are all there, and the state of the connection; renders again
 * at each change. However many components use it, there is one socket.
 */
export declare function useRows<C extends Channel, S extends Schema = Records>(
  client: RelayClient<S>,
  channel: C,
  options?: {
    /** Keep it stable: outside of the component, or memoised. */
    filter?: (row: S[C]) => boolean;
    compare?: (a: S[C], b: S[C]) => number;
  },
): Snapshot<S[C]>;
