// Commands to the relay over HTTP, under the user's token. What they change comes back through the
// channels, to everybody.
//
//   import { Commands } from "hotspot-relay-client/commands";
//   await new Commands(client).approve(42, { notes: "agreed with the carrier" });
const DEADLINE_SECONDS = 15;

// The relay's answer was an error, or there was none: `status` is 0 then.
export class RelayError extends Error {
  constructor(message, status, options) {
    super(message, options);
    this.name = "RelayError";
    this.status = status;
  }
}

export class Commands {
  #client;

  // With the address and the token of a RelayClient, which need not be connected.
  constructor(client) {
    this.#client = client;
  }

  scan(options) {
    return this.send("POST", "hotspots/scan", undefined, options);
  }

  scanState(id, options) {
    return this.send("GET", `scans/${id}`, undefined, options);
  }

  approve(id, { notes, ...options } = {}) {
    return this.send("POST", `recommendations/${id}/approve`, notes && { notes }, options);
  }

  reject(id, { notes, ...options } = {}) {
    return this.send("POST", `recommendations/${id}/reject`, notes && { notes }, options);
  }

  acknowledge(id, { notes, ...options } = {}) {
    return this.send("POST", `alerts/${id}/acknowledge`, notes && { notes }, options);
  }

  acknowledgeAlerts(ids, { notes, ...options } = {}) {
    return this.send("POST", "alerts/acknowledge", { ids, notes }, options);
  }

  resolve(id, { notes, ...options } = {}) {
    return this.send("POST", `hotspots/${id}/resolve`, notes && { notes }, options);
  }

  // `decision` is acknowledged, resolved, ignored, accepted (the new normal) or rejected (not normal).
  decideHotspots(ids, decision, { notes, ...options } = {}) {
    return this.send("POST", "hotspots/decide", { ids, decision, notes }, options);
  }

  silence(silence, options) {
    return this.send("POST", "silences", silence, options);
  }

  silences(options) {
    return this.send("GET", "silences", undefined, options);
  }

  endSilence(id, { notes, ...options } = {}) {
    return this.send("POST", `silences/${id}/end`, notes && { notes }, options);
  }

  resetKey(entity, eventType, { notes, ...options } = {}) {
    return this.send("POST", "keys/reset", { entity, event_type: eventType, notes }, options);
  }

  // `kind` is hotspot, alert, recommendation, silence or key; within a minute, and only one's own.
  undo(kind, ids, options) {
    return this.send("POST", "undo", { kind, ids }, options);
  }

  // Any route of the relay by its path; resolves to the parsed answer, throws RelayError.
  async send(method, path, body, { signal } = {}) {
    const { base, token, fetch = globalThis.fetch } = this.#client.http;
    if (base === null) throw new RelayError("no `url` of the relay", 0);
    const given = await ask(token);
    const headers = given ? { Authorization: `Bearer ${given}` } : {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const deadline = AbortSignal.timeout(DEADLINE_SECONDS * 1000);
    let reply;
    try {
      reply = await fetch(new URL(path, base), {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const late = error.name === "TimeoutError";
      throw new RelayError(late ? "The relay did not answer in time." : "The relay cannot be reached.", 0);
    }
    const answer = await reply.json().catch(() => ({}));
    signal?.throwIfAborted(); // or else what was not read to its end would pass for an empty answer
    if (!reply.ok) {
      throw new RelayError(answer.detail ?? `The relay answered ${reply.status}.`, reply.status);
    }
    return answer;
  }
}

async function ask(token) {
  if (typeof token !== "function") return token;
  try {
    return await token();
  } catch (cause) {
    throw new RelayError(`The token could not be had: ${cause?.message ?? cause}`, 0, { cause });
  }
}
