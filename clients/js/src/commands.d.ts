import type { Records, RelayClient, Schema, Severity } from "./client.js";

/** The relay's answer was an error; `status` is 0 where there was no answer. */
export declare class RelayError extends Error {
  readonly status: number;
}

export interface CommandOptions {
  signal?: AbortSignal;
}

export interface Decision extends CommandOptions {
  /** At most 2,000 characters, for the audit log. */
  notes?: string;
}

export interface Scan {
  id: number;
  status: "queued" | "running" | "done" | "failed";
}

/** What became of a call for many rows; those that are refused do not keep the others. */
export interface Outcome {
  done: number[];
  refused: { id: number; reason: string }[];
}

export type HotspotDecision = "acknowledged" | "resolved" | "ignored" | "accepted" | "rejected";

/** No alerts of an entity, an activity, or up to a severity; one of the three is needed. */
export interface SilenceRequest {
  /** RFC 3339 with an offset, at most a year after `starts_at`. */
  until: string;
  why: string;
  entity?: string | null;
  event_type?: "logistics" | "factory" | "warehouse" | "delivery" | null;
  severity?: Severity | null;
  /** Now when left out. */
  starts_at?: string | null;
}

export interface Silence extends Required<SilenceRequest> {
  id: number;
  starts_at: string;
  ended_at: string | null;
  created_at: string;
}

export interface ResetKey {
  /** For undo. */
  id: number;
  entity: string;
  entity_type: string;
  event_type: string;
  /** The open episode that ended with it. */
  hotspot: number | null;
}

/** Commands over HTTP. What they change comes back through the channels. @throws RelayError */
export declare class Commands<S extends Schema = Records> {
  /** With the address and the token of a client, which need not be connected. */
  constructor(client: RelayClient<S>);
  scan(options?: CommandOptions): Promise<Scan>;
  scanState(id: number, options?: CommandOptions): Promise<Scan & Record<string, unknown>>;
  approve(id: number | string, options?: Decision): Promise<S["recommendations"]>;
  reject(id: number | string, options?: Decision): Promise<S["recommendations"]>;
  acknowledge(id: number | string, options?: Decision): Promise<S["alerts"]>;
  acknowledgeAlerts(ids: (number | string)[], options?: Decision): Promise<Outcome>;
  resolve(id: number | string, options?: Decision): Promise<S["hotspots"]>;
  /** 1 to 500 of them. */
  decideHotspots(
    ids: (number | string)[],
    decision: HotspotDecision,
    options?: Decision,
  ): Promise<Outcome>;
  silence(silence: SilenceRequest, options?: CommandOptions): Promise<Silence>;
  /** Those in force and to come. */
  silences(options?: CommandOptions): Promise<Silence[]>;
  endSilence(id: number | string, options?: Decision): Promise<Silence>;
  resetKey(
    entity: string,
    eventType: NonNullable<SilenceRequest["event_type"]>,
    options?: Decision,
  ): Promise<ResetKey>;
  /** Takes back the caller's last decision of the last minute on each of them. */
  undo(
    kind: "hotspot" | "alert" | "recommendation" | "silence" | "key",
    ids: (number | string)[],
    options?: CommandOptions,
  ): Promise<Outcome>;
  /** Any route of the relay. */
  send(method: string, path: string, body?: unknown, options?: CommandOptions): Promise<unknown>;
}
