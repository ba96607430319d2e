import type { Alert, DeleteFrame, Hotspot, LeaveFrame, Recommendation, UpsertFrame } from "./protocol.js";

export type { Alert, Hotspot, Recommendation, ServerFrame, Severity } from "./protocol.js";

export type Channel = "hotspots" | "alerts" | "recommendations";

export declare const CHANNELS: readonly Channel[];

/** The rows of each channel; give a type of your own where your tables have more columns. */
export interface Records {
  hotspots: Hotspot;
  alerts: Alert;
  recommendations: Recommendation;
}

/** What a schema of the application has to look like. */
export type Schema = { [C in Channel]: { id: number | string } };

/** The row is new, or changed. Consumers upsert: either may come first. */
export type Upsert<Row> = Omit<UpsertFrame, "record"> & { record: Row };

/** The row is gone. It may be put back under its id, with a later version. */
export type Delete = DeleteFrame;

/** The row no longer matches the filter. It may come back with a later version. */
export type Leave = LeaveFrame;

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
  /** With `waiting`: how long the wait is, and when it ends in milliseconds since 1970. */
  readonly retrySeconds?: number;
  readonly retryAt?: number;
}

/** One value, several separated by commas, or an array in which each is taken as it is. */
export type OneOf<Value extends string> = Value | readonly Value[] | `${Value},${string}`;

export interface Filters {
  hotspots?: {
    severity?: OneOf<Hotspot["severity"]>;
    status?: OneOf<Hotspot["status"]>;
    entity?: string | readonly string[];
  };
  alerts?: { severity?: OneOf<Alert["level"]> };
  recommendations?: { status?: OneOf<Recommendation["status"]> };
}

export type Token = string | null | undefined;

/** Where rows and cursor are kept over a reload; see `hotspot-relay-client/storage`. */
export interface Storage {
  get(name: string): unknown;
  set(name: string, value: unknown): unknown;
  delete(name: string): unknown;
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
  /** Exactly so many of the newest rows to start with, 0 to 1000. Default: the newest 1000 and all open ones. */
  last?: number;
  /**
   * The user's access token, or how to get it: asked before each connection, before it expires, and
   * for each command. Nothing where nobody is signed in: `refused` then, with 4500, if the relay asks
   * for one. A token that the relay has refused, or of whose end it has warned, is not sent again; it
   * is handed to the function as `spent`, which may take it as a reason to get a fresh one; the more
   * of them are refused in a row, the longer the pause before the next, up to 155 s. A function
   * that throws is asked again after the back-off; `onError` is told once, until it has given a token.
   * With supabase-js: async () => (await supabase.auth.getSession()).data.session?.access_token
   */
  token?: Token | ((spent?: string) => Token | Promise<Token>);
  /** What a reload goes on from. Default: none. */
  storage?: Storage | null;
  /** Whether tabs share one socket for each endpoint, where the browser has Web Locks. Default: true. */
  tabs?: boolean;
  /**
   * `string`: the value of `id`, and of each column that ends in `_id`, is a string, exact beyond 2^53.
   * Default: `number`; a row whose id is beyond 2^53 is then passed over and counted in `badFrames`.
   */
  ids?: "number" | "string";
  /** Close the sockets of a page that has been hidden for so long. Default: never. */
  pauseHiddenSeconds?: number;
  /** Called with what a callback, the storage or the token's function threw. Default: console.error. */
  onError?: (error: unknown) => void;
  pingSeconds?: number;
  /** Time within which a greeting or the answer to a ping has to come. */
  replySeconds?: number;
  /** Rows remembered per channel. */
  maxRows?: number;
  /** Where there is none globally, as in Node.js 20. */
  WebSocket?: new (url: string, protocols?: string[]) => unknown;
  fetch?: typeof globalThis.fetch;
  timers?: Timers;
  random?: () => number;
  now?: () => number;
}

export declare class RelayClient<S extends Schema = Records> {
  /** @throws TypeError when `url` is no URL. @throws RangeError at a channel or option that does not exist. */
  constructor(options?: Options);
  connect(): void;
  disconnect(): void;
  /** Frames are shared between subscribers: do not modify them. */
  subscribe<C extends Channel>(
    channel: C,
    callback: (frame: Frame<S[C]>) => void,
    options?: { signal?: AbortSignal },
  ): () => void;
  /** The same for `for await`. Who is slower than the changes gets the newest of each row. */
  frames<C extends Channel>(channel: C, options?: { signal?: AbortSignal }): AsyncIterableIterator<Frame<S[C]>>;
  /** Follow other rows from now on; subscribers get a reset and the rows that match. */
  setFilter<C extends Channel>(channel: C, filter: Filters[C]): void;
  /** Use this token, or getter, from now on. */
  setToken(token: Options["token"]): void;
  /** Make every attempt that is waited for now. */
  retryNow(): void;
  /** For `Commands`. @internal */
  readonly http: { base: URL | null; token: Options["token"]; fetch: Options["fetch"]; rows?: S };
  readonly status: Readonly<Record<Channel, ChannelStatus>>;
  onStatus(callback: (channel: Channel, status: ChannelStatus) => void): () => void;
}

export declare function hasRecord<Row>(frame: Frame<Row>): frame is Upsert<Row>;
export declare function idOf(change: Change<{ id: number | string }>): number | string;

export declare const CloseCode: Readonly<{
  RESTARTING: 1012;
  OVERLOADED: 1013;
  TOO_SLOW: 4000;
  TOKEN_EXPIRED: 4001;
  TOO_MANY_MESSAGES: 4002;
  UNAUTHORIZED: 4500;
  BAD_MESSAGE: 4501;
  BAD_PARAMETER: 4502;
}>;
export declare function comeBack(code: number): boolean;
