// Who is signed in, in all tabs of this origin: a token that was pasted, or a session of Supabase Auth,
// which is renewed before its token ends. It is kept in localStorage: whoever signs in or out does so
// in every tab, and one tab renews for all. There is one user at a time: the newest one counts.
import { storage as browserStorage } from "./storage.js";

const KEY = "relay.session";
const RENEW_MS = 60_000; // before the end; for short tokens half of their time
const DEADLINE_MS = 15_000;

export class Session {
  #config = null;
  #loadConfig;
  #storage;
  #fetch;
  #now;
  #locks;
  #renewing = null;
  #known; // who was signed in when this tab last looked
  #changed = () => {};

  // `loadConfig` gives what the relay tells its page: { auth, supabase_url, publishable_key }.
  constructor(loadConfig, options = {}) {
    const { storage = browserStorage(), fetch = (...of) => globalThis.fetch(...of), now = Date.now, locks = globalThis.navigator?.locks } = options;
    this.#loadConfig = loadConfig;
    this.#storage = storage;
    this.#fetch = fetch;
    this.#now = now;
    this.#locks = locks;
    this.#known = identityOf(this.#held);
  }

  // Calls `changed(another)` when another tab has signed in or out or has renewed; `another` tells
  // whether it is another user, or nobody, since then.
  onChange(changed, place = globalThis) {
    this.#changed = changed;
    place.addEventListener("storage", ({ key }) => {
      if (key === KEY || key === null) this.#look() || changed(false);
    });
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
    return userOf(this.#held);
  }

  get renewable() {
    return this.#held?.refresh_token !== undefined;
  }

  // A token that is good for a while, another one than `spent`; null where nobody is signed in.
  // Throws when it could not be renewed just now, and when it would be another user's than this tab
  // knows of: what was asked for one user is never done as another.
  async token(spent) {
    if (this.#look()) throw new Error("Somebody else has signed in or out in another tab.");
    const held = this.#held;
    if (held === null) return null;
    const soon = held.renew_at !== undefined && this.#now() >= held.renew_at;
    if (held.refresh_token !== undefined && (soon || held.access_token === spent)) {
      this.#renewing ??= this.#renewAlone(held).finally(() => (this.#renewing = null));
      await this.#renewing;
      if (this.#look()) return null;
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
    this.#known = null;
    if (held?.refresh_token === undefined) return;
    const headers = { Authorization: `Bearer ${held.access_token}` };
    await this.#post("logout?scope=local", undefined, headers).catch(() => {});
  }

  // A refresh token is good for one use: only one tab uses it, where tabs can agree on one.
  async #renewAlone(held) {
    const renew = async () => {
      if (this.#held?.refresh_token === held.refresh_token) await this.#renew(held);
    };
    await (this.#locks ? this.#locks.request(KEY, renew) : renew());
  }

  async #renew({ refresh_token }) {
    await this.#grant("refresh_token", { refresh_token });
  }

  async #grant(kind, credentials) {
    const reply = await this.#post(`token?grant_type=${kind}`, credentials);
    const answer = await reply.json().catch(() => ({}));
    const renews = credentials.refresh_token;
    if (renews !== undefined && this.#held?.refresh_token !== renews) return; // another tab was faster, or signed out
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
    if (renews !== undefined && reply.status >= 400 && reply.status < 429) {
      this.#storage.removeItem(KEY); // the session is over: somebody has to sign in again
      this.#known = null;
      return;
    }
    throw new Error(refusal(reply.status, answer.error_code ?? answer.code, why));
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
    try {
      const found = JSON.parse(this.#storage.getItem(KEY));
      return typeof found?.access_token === "string" ? found : null;
    } catch {
      return null; // all programs of this origin write here
    }
  }

  #hold(held) {
    this.#storage.setItem(KEY, JSON.stringify(held));
    this.#known = identityOf(held);
  }

  // Whether another tab has signed somebody else in, or out, since this one last looked.
  #look() {
    const found = identityOf(this.#held);
    if (found === this.#known) return false;
    this.#known = found;
    this.#changed(true);
    return true;
  }
}

// What Supabase Auth refused, and what to check. Gateways before it refuse keys by 401 and 403.
function refusal(status, code, why) {
  if (code === "invalid_credentials" || /invalid login credentials/i.test(why)) {
    return "No user of this project has that e-mail and password. Check both; whoever runs the project can make the user or set another password.";
  }
  if (code === "email_not_confirmed") return "This e-mail address is not confirmed yet. Follow the link in the mail that Supabase has sent to it.";
  if (status === 401 || status === 403) return `Supabase does not accept the key of this relay (${why}). Whoever runs the relay has to check its SUPABASE_PUBLISHABLE_KEY.`;
  if (status === 429) return `Too many attempts (${why}). Wait a minute, then try again.`;
  if (status >= 500) return `Supabase has trouble of its own (${why}). Try again in a minute.`;
  return `Supabase refused: ${why}. Whoever runs the project finds the reason in its Auth log.`;
}

function userOf(held) {
  try {
    const claims = held.access_token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(claims)).sub ?? null;
  } catch {
    return null;
  }
}

function identityOf(held) {
  return held === null ? null : (userOf(held) ?? held.access_token);
}
