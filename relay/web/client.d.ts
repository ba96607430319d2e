export type Channel = "hotspots" | "alerts" | "recommendations";

export const CHANNELS: readonly Channel[];

export type Severity = "info" | "warn" | "critical";

export interface Hotspot {
  id: number;
  entity: string;
  entity_type: string;
  event_type: string;
  /** kg CO2e of the worst event of the episode. */
  predicted_co2: number;
  /** kg CO2e that is usual for the entity. */
  baseline_co2: number;
  /** Per cent above the baseline. */
  percent_above: number;
  severity: Severity;
  status: "active" | "resolved" | "ignored";
  event_id: number | null;
  created_at: string;
  resolved_at: string | null;
}

export interface Alert {
  id: number;
  hotspot_id: number;
  kind: "opened" | "escalated" | "resolved";
  level: Severity;
  message: string;
  acknowledged: boolean;
  acknowledged_at: string | null;
  created_at: string;
}

export interface Recommendation {
  id: number;
  hotspot_id: number;
  action: string;
  /** kg CO2e that the action is expected to save. */
  co2_reduction: number | null;
  root_cause: string | null;
  source: string;
  status: "pending" | "approved" | "rejected" | "implemented";
  created_at: string;
}

export interface Records {
  hotspots: Hotspot;
  alerts: Alert;
  recommendations: Recommendation;
}

/**
 * The whole row: INSERT where the client does not hold it (also one that was put back after it was
 * deleted, or that matches the filter again), UPDATE where it does. Beyond `maxRows` the client no
 * longer knows what it told, so upsert.
 */
export interface Upsert<Row> {
  type: "INSERT" | "UPDATE";
  schema: string;
  table: string;
  record: Row;
  old_record: { id: number } | null;
  version: number;
  changed_at: string;
  seq?: number;
}

/** The row is gone. It may be put back with a later version. */
export interface Delete {
  type: "DELETE";
  schema: string;
  table: string;
  record: null;
  old_record: { id: number };
  version: number;
  seq?: number;
}

/** The row no longer matches the filter. It may come back with a later version. */
export interface Leave {
  type: "LEAVE";
  table: string;
  id: number;
  version: number;
  seq?: number;
}

export type Change<Row> = Upsert<Row> | Delete | Leave;

/** Discard every row of the channel; the state follows. */
export interface Reset {
  type: "reset";
  reason: string | null;
}

/** Everything up to now has been told; `complete` is false when only the newest rows were. */
export interface Synced {
  type: "synced";
  complete: boolean;
}

export type Frame<Row> = Change<Row> | Reset | Synced;

export interface ChannelStatus {
  /** `waiting`: for the next attempt. `refused`: the relay said not to come back. */
  readonly state: "closed" | "connecting" | "syncing" | "open" | "waiting" | "refused";
  /** Whether the relay itself is up to date; null before its greeting and while not connected. */
  readonly upstream: "live" | "catching_up" | "degraded" | "down" | null;
  /** Frames that could not be understood and were passed over. */
  readonly badFrames: number;
  /** With `open`: whether all rows were told. */
  readonly complete?: boolean;
  /** With `waiting` and `refused`: why the last connection ended. */
  readonly code?: number;
  readonly reason?: string;
  /** With `waiting`: seconds until the next attempt. */
  readonly retrySeconds?: number;
}

/** Several values: separated by commas, or as an array, in which each is taken as it is. */
export type Values = string | readonly string[];

export interface Filters {
  hotspots?: { severity?: Values; status?: Values; entity?: Values };
  alerts?: { severity?: Values };
  recommendations?: { status?: Values };
}

export interface Timers {
  setTimeout(act: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface Options {
  /**
   * Address of the relay, http(s) or ws(s), with a path where it has one. Default: the page's
   * origin; where there is none, connect() ends in `refused`.
   */
  url?: string | URL;
  /** Values by column. */
  filters?: Filters;
  /** Exactly so many of the newest rows to start with, 0 to 1000. Default: the newest 1,000 and all open ones. */
  last?: number;
  /**
   * The user's access token, or how to get it: asked before each connection and before it expires.
   * Nothing where nobody is signed in: `refused` then, with 4500, if the relay asks for one. A token
   * that the relay has refused, or of whose end it has warned, is not sent again; it is handed to the
   * function as `spent`, which may take it as a reason to get a fresh one. With supabase-js: async () => (await supabase.auth.getSession()).data.session?.access_token
   */
  token?: string | ((spent?: string) => string | null | undefined | Promise<string | null | undefined>);
  /** Called with what a callback threw. Default: console.error. */
  onError?: (error: unknown) => void;
  pingSeconds?: number;
  /** Time within which a greeting or the answer to a ping has to come. */
  replySeconds?: number;
  /** Rows remembered per channel. */
  maxRows?: number;
  WebSocket?: new (url: string, protocols?: string[]) => WebSocket;
  timers?: Timers;
  random?: () => number;
}

export class RelayClient {
  /** @throws TypeError when `url` is no URL. */
  constructor(options?: Options);
  connect(): void;
  disconnect(): void;
  /** Frames are shared between subscribers: do not modify them. */
  subscribe<C extends Channel>(channel: C, callback: (frame: Frame<Records[C]>) => void): () => void;
  readonly status: Readonly<Record<Channel, ChannelStatus>>;
  onStatus(callback: (channel: Channel, status: ChannelStatus) => void): () => void;
}

export function hasRecord<Row>(frame: Frame<Row>): frame is Upsert<Row>;
export function idOf(change: Change<{ id: number }>): number;

export const CloseCode: Readonly<{
  RESTARTING: 1012;
  OVERLOADED: 1013;
  TOO_SLOW: 4000;
  TOKEN_EXPIRED: 4001;
  TOO_MANY_MESSAGES: 4002;
  UNAUTHORIZED: 4500;
  BAD_MESSAGE: 4501;
  BAD_PARAMETER: 4502;
}>;
export function comeBack(code: number): boolean;
