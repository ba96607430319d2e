// Commands to the relay over HTTP, all of them under the user's token. What they change comes back
// through the streams.
const DEADLINE_MS = 15_000;

export class Commands {
  #token;

  // `token` gives the user's token, or null where there is none.
  constructor(token) {
    this.#token = token;
  }

  // What the relay answered to the command. Throws an Error whose message can be shown.
  send(path) {
    return this.#request("POST", path);
  }

  // What the relay knows under that path. Throws as `send`.
  get(path) {
    return this.#request("GET", path);
  }

  async #request(method, path) {
    const token = await this.#token();
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let reply;
    try {
      const signal = AbortSignal.timeout(DEADLINE_MS);
      reply = await fetch(path, { method, headers, signal });
    } catch (error) {
      const late = error.name === "TimeoutError";
      throw new Error(late ? "The relay did not answer in time." : "The relay cannot be reached.");
    }
    const body = await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(body.detail ?? `The relay answered ${reply.status}.`);
    return body;
  }
}
