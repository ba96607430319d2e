import type { Channel, ChannelStatus, Records, RelayClient, Schema } from "./client.js";

export interface Snapshot<Row> {
  /** In the order of their last change. */
  readonly rows: readonly Row[];
  /** Whether everything up to now has been told. */
  readonly synced: boolean;
  /** Whether that was all rows, and not only the newest. */
  readonly complete: boolean;
  readonly status: ChannelStatus;
}

/** The rows of a channel as external store. */
export interface RowStore<Row> {
  subscribe(listener: () => void): () => void;
  getSnapshot(): Snapshot<Row>;
  getServerSnapshot(): Snapshot<Row>;
}

/** The store of a channel: one for each client, however often it is asked for. */
export declare function storeOf<C extends Channel, S extends Schema = Records>(
  client: RelayClient<S>,
  channel: C,
): RowStore<S[C]>;
