// Made from relay/protocol.schema.json by `npm run types`.

/**
 * A message of the relay.
 */
export type ServerFrame =
  | UpsertFrame
  | DeleteFrame
  | LeaveFrame
  | HelloFrame
  | SyncedFrame
  | CursorFrame
  | ResetFrame
  | StatusFrame
  | TokenRequiredFrame
  | TokenExpiringFrame
  | AuthenticatedFrame
  | PongFrame;
export type Table = "hotspots" | "alerts" | "recommendations";
/**
 * Identity of a row: an integer, which may lie beyond 2^53.
 */
export type Id = number;
/**
 * Orders the changes of one row, deletions included.
 */
export type Version = number;
/**
 * RFC 3339, with a zone.
 */
export type Time = string;
export type Upstream = "live" | "catching_up" | "degraded" | "down";
/**
 * A message of a client.
 */
export type ClientMessage = AuthMessage | PingMessage;
export type Severity = "info" | "warn" | "critical";

/**
 * The messages of relay.v1, and the rows that they carry.
 */
export interface Protocol {
  frame?: ServerFrame;
  message?: ClientMessage;
  hotspot?: Hotspot;
  alert?: Alert;
  recommendation?: Recommendation;
}
/**
 * The row is new, or changed. Consumers upsert: either may come first.
 */
export interface UpsertFrame {
  type: "INSERT" | "UPDATE";
  schema: string;
  table: Table;
  /**
   * The whole row, without the relay's own columns.
   */
  record: {
    id: Id;
    [k: string]: unknown;
  };
  old_record: Key | null;
  version: Version;
  changed_at?: Time;
  /**
   * Counts on the relay that sends it; 0 for rows read from the database.
   */
  seq?: number;
}
/**
 * The identity of the row.
 */
export interface Key {
  id: Id;
}
/**
 * The row is gone. It may be put back under its id, with a later version.
 */
export interface DeleteFrame {
  type: "DELETE";
  schema: string;
  table: Table;
  record: null;
  old_record: Key;
  version: Version;
  /**
   * Counts on the relay that sends it; 0 for rows read from the database.
   */
  seq?: number;
}
/**
 * The row no longer matches the filter or scope. It may come back with a later version.
 */
export interface LeaveFrame {
  type: "LEAVE";
  table: Table;
  id: Id;
  version: Version;
  /**
   * Counts on the relay that sends it; 0 for rows read from the database.
   */
  seq?: number;
}
/**
 * The greeting.
 */
export interface HelloFrame {
  type: "hello";
  endpoint: Table;
  resumed: boolean;
  reason: string | null;
  heartbeat_seconds: number;
}
/**
 * Everything up to now has been told; `complete` is false when only the newest rows were.
 */
export interface SyncedFrame {
  type: "synced";
  cursor?: string | null;
  complete: boolean;
}
/**
 * What to resume from: everything before it has been told.
 */
export interface CursorFrame {
  type: "cursor";
  cursor: string;
}
/**
 * Discard every row of the endpoint; the state follows.
 */
export interface ResetFrame {
  type: "reset";
  reason: string | null;
}
/**
 * Whether the relay itself is up to date.
 */
export interface StatusFrame {
  type: "status";
  upstream: Upstream;
}
/**
 * A token is needed before anything is told.
 */
export interface TokenRequiredFrame {
  type: "token_required";
}
/**
 * The token expires; sent once for each token.
 */
export interface TokenExpiringFrame {
  type: "token_expiring";
  seconds: number;
}
/**
 * Another token was taken.
 */
export interface AuthenticatedFrame {
  type: "authenticated";
  expires_in: number | null;
}
/**
 * The answer to a ping.
 */
export interface PongFrame {
  type: "pong";
}
/**
 * The client shows a token.
 */
export interface AuthMessage {
  type: "auth";
  token: string;
}
/**
 * The client asks for a pong.
 */
export interface PingMessage {
  type: "ping";
}
/**
 * An episode: an entity above what is usual for it.
 */
export interface Hotspot {
  id: Id;
  entity: string;
  entity_type: string;
  event_type: string;
  /**
   * kg CO2e of the worst event or period of the episode.
   */
  predicted_co2: number;
  /**
   * kg CO2e that the same work usually costs this entity.
   */
  baseline_co2: number;
  /**
   * Per cent above the baseline.
   */
  percent_above: number;
  severity: Severity;
  status: "active" | "resolved" | "ignored";
  event_id: Id | null;
  created_at: Time;
  resolved_at: Time | null;
  phase: "firing" | "recovering";
  /**
   * Whether single jobs are bad, or the whole run.
   */
  series: "event" | "period";
  rule: "spike" | "shift" | "drift" | "period";
  /**
   * kg CO2e above the usual, of all that belongs to the episode.
   */
  excess_kg: number;
  /**
   * One sentence with the entity's own figures.
   */
  reason: string;
  occurred_at: Time;
  last_seen_at: Time;
  /**
   * Which input explains how much of the excess.
   */
  drivers: {}[];
  /**
   * An alert has told that it opened.
   */
  announced: boolean;
  resolution: "recovered" | "new_normal" | "superseded" | null;
  peak_severity: Severity;
  /**
   * The episode of the same key that had ended within 30 days before.
   */
  previous_id: Id | null;
  /**
   * A person said that this is not normal.
   */
  held: boolean;
  acknowledged_at: Time | null;
}
/**
 * A notification about an episode.
 */
export interface Alert {
  id: Id;
  hotspot_id: Id;
  kind: "opened" | "reopened" | "escalated" | "deescalated" | "resolved";
  level: Severity;
  message: string;
  acknowledged: boolean;
  acknowledged_at: Time | null;
  created_at: Time;
  occurred_at: Time;
  /**
   * One sentence with the entity's own figures, without its name.
   */
  reason: string;
}
/**
 * A proposed action for an episode.
 */
export interface Recommendation {
  id: Id;
  hotspot_id: Id;
  action: string;
  /**
   * kg CO2e that it is expected to save of the event, or period, that the hotspot shows.
   */
  co2_reduction: number | null;
  root_cause: string | null;
  source: string;
  /**
   * Row of advice_rules that it follows; null where another service proposed it.
   */
  rule: string | null;
  /**
   * Input that it is about: distance, load, vehicle, fuel, energy or carbon.
   */
  driver: string | null;
  /**
   * Value of that input, in unit.
   */
  actual: number | null;
  /**
   * What it usually is, in unit.
   */
  usual: number | null;
  unit: string | null;
  /**
   * kg CO2e that it is expected to save in 30 days at the present rate.
   */
  co2_reduction_month: number | null;
  status: "pending" | "approved" | "rejected" | "implemented";
  created_at: Time;
}
