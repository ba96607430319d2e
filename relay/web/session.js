// Who is signed in, in this tab alone: a token that was pasted, or a session of Supabase Auth, which
// is renewed before its token ends.
const KEY = "relay.session";
const RENEW_MS = 60_000; // before the end; for short tokens half of their time
const DEADLINE_MS = 15_000;

export class Session {
  #config = null;
  #loadConfig;
  #storage;
  #fetch;
  #now;
  #renewing = null;

  // `loadConfig` gives what the relay tells its page: { auth, supabase_url, publishable_key }.
  constructor(loadConfig, options = {}) {
    const { storage = sessionStorage, fetch = (...of) => globalThis.fetch(...of), now = Date.now } = options;
    this.#loadConfig = loadConfig;
    this.#storage = storage;
    this.#fetch = fetch;
    this.#now = now;
  }

  // What the relay tells its page; asked for until it has answered once.
  async config() {
    this.#config ??= await this.#loadConfig();
    return this.#config;
  }

  get signedIn() {
    return this.#held !== null;
  }

  // Of who is signed in, where Supabase told it.
  get email() {
    return this.#held?.email ?? null;
  }

  // The id of who is signed in, as the token says it; null where it says none.
  get user() {
    try {
      const claims = this.#held.access_token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
      return JSON.parse(atob(claims)).sub ?? null;
    } catch {
      return null;
    }
  }

  get renewable() {
    return this.#held?.refresh_token !== undefined;
  }

  // A token that is good for a while, another one than `spent`; null where nobody is signed in.
  // Throws when it could not be renewed just now.
  async token(spent) {
    const held = this.#held;
    if (held === null) return null;
    const soon = held.renew_at !== undefined && this.#now() >= held.renew_at;
    if (held.refresh_token !== undefined && (soon || held.access_token === spent)) {
      this.#renewing ??= this.#renew(held).finally(() => (this.#renewing = null));
      await this.#renewing;
    }
    return this.#held?.access_token ?? null;
  }

  use(token) {
    this.#hold({ access_token: token });
  }

  // Throws an Error whose message can be shown.
  async signIn(email, password) {
    await this.#grant("password", { email, password });
  }

  // Ends the session at Supabase too, as far as that can be reached.
  async signOut() {
    const held = this.#held;
    this.#storage.removeItem(KEY);
    if (held?.refresh_token === undefined) return;
    const headers = { Authorization: `Bearer ${held.access_token}` };
    await this.#post("logout?scope=local", undefined, headers).catch(() => {});
  }

  async #renew({ refresh_token }) {
    await this.#grant("refresh_token", { refresh_token });
  }

  async #grant(kind, credentials) {
    const reply = await this.#post(`token?grant_type=${kind}`, credentials);
    const answer = await reply.json().catch(() => ({}));
    if (reply.ok && answer.access_token) {
      const lifetime = 1000 * (answer.expires_in ?? 3600);
      this.#hold({
        access_token: answer.access_token,
        refresh_token: answer.refresh_token,
        email: answer.user?.email,
        renew_at: this.#now() + lifetime - Math.min(RENEW_MS, lifetime / 2),
      });
      return;
    }
    const why = answer.msg ?? answer.message ?? answer.error_description ?? `status ${reply.status}`;
    if (kind === "refresh_token" && reply.status >= 400 && reply.status < 429) {
      this.#storage.removeItem(KEY); // the session is over: somebody has to sign in again
      return;
    }
    throw new Error(`Supabase did not sign you in: ${why}`);
  }

  async #post(path, body, headers = {}) {
    const { supabase_url: url, publishable_key: apikey } = await this.config();
    try {
      return await this.#fetch(`${url}/auth/v1/${path}`, {
        method: "POST",
        headers: { apikey, "Content-Type": "application/json", ...headers },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
    } catch {
      throw new Error(`Supabase cannot be reached at ${url} from this browser.`);
    }
  }

  get #held() {
    const text = this.#storage.getItem(KEY);
    return text === null ? null : JSON.parse(text);
  }

  #hold(held) {
    this.#storage.setItem(KEY, JSON.stringify(held));
  }
}
