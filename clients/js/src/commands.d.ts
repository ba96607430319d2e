import type { Records, RelayClient, Schema } from "./client.js";

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

/** Commands over HTTP. What they change comes back through the channels. @throws RelayError */
export declare class Commands<S extends Schema = Records> {
  /** With the address and the token of a client, which need not be connected. */
  constructor(client: RelayClient<S>);
  scan(options?: CommandOptions): Promise<Scan>;
  scanState(id: number, options?: CommandOptions): Promise<Scan & Record<string, unknown>>;
  approve(id: number | string, options?: Decision): Promise<S["recommendations"]>;
  reject(id: number | string, options?: Decision): Promise<S["recommendations"]>;
  acknowledge(id: number | string, options?: CommandOptions): Promise<S["alerts"]>;
  resolve(id: number | string, options?: CommandOptions): Promise<S["hotspots"]>;
  /** Any route of the relay. */
  send(method: string, path: string, body?: unknown, options?: CommandOptions): Promise<unknown>;
}
