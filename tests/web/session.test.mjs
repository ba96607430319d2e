import assert from "node:assert/strict";
import test from "node:test";
import { Session } from "../../relay/web/session.js";

const CONFIG = { auth: "required", supabase_url: "https://project.example", publishable_key: "pk" };

// A session whose project answers each request with the next of these, and what it was asked.
function session(...answers) {
  const { tabs: [made], ...rest } = tabs(1, ...answers);
  return { session: made, ...rest };
}

// The same in so many tabs, which tell each other of changes as browsers do: later, by `told`.
function tabs(count, ...answers) {
  const kept = new Map();
  const asked = [];
  let now = 0;
  const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => kept.set(name, value),
    removeItem: (name) => kept.delete(name),
  };
  const fetch = async (url, { body, headers }) => {
    asked.push({ url, body: body && JSON.parse(body), headers });
    const { status = 200, ...answer } = answers.shift() ?? { status: 503 };
    if (status === 0) throw new TypeError("no network");
    return { ok: status < 400, status, json: async () => answer };
  };
  let locked = Promise.resolve();
  const locks = { request: (_, act) => (locked = locked.then(act)) };
  const places = [];
  const noted = [];
  const made = Array.from({ length: count }, (_, number) => {
    const each = new Session(async () => CONFIG, { storage, fetch, now: () => now, locks });
    places.push(new EventTarget());
    each.onChange((another) => noted.push([number, another]), places[number]);
    return each;
  });
  const told = (number) => {
    const event = new Event("storage");
    event.key = "relay.session";
    places[number].dispatchEvent(event);
  };
  return { tabs: made, asked, kept, noted, told, pass: (seconds) => (now += 1000 * seconds) };
}

// A token of that user, as far as it is read here.
const jwt = (sub, number = 1) => `h.${btoa(JSON.stringify({ sub, number }))}.s`;

const granted = (number, expires_in = 3600) => ({
  access_token: `jwt-${number}`, refresh_token: `refresh-${number}`, expires_in,
});

test("nobody is signed in until somebody is", async () => {
  const { session: tab, asked } = session();
  assert.deepEqual([tab.signedIn, tab.renewable, await tab.token()], [false, false, null]);
  assert.deepEqual(asked, []);
});

test("a password is exchanged at the project, not at the relay, and is not kept", async () => {
  const { session: tab, asked, kept } = session(granted(1));
  await tab.signIn("a@example.org", "correct horse");
  assert.equal(asked[0].url, "https://project.example/auth/v1/token?grant_type=password");
  assert.deepEqual(asked[0].body, { email: "a@example.org", password: "correct horse" });
  assert.equal(asked[0].headers.apikey, "pk");
  assert.equal(await tab.token(), "jwt-1");
  assert.ok(![...kept.values()].join().includes("correct horse"));
});

test("a token is renewed a minute before its end, once, however many ask", async () => {
  const { session: tab, asked, pass } = session(granted(1), granted(2));
  await tab.signIn("a@example.org", "correct horse");
  pass(3539);
  assert.equal(await tab.token(), "jwt-1");
  pass(1);
  assert.deepEqual(await Promise.all([tab.token(), tab.token(), tab.token()]), Array(3).fill("jwt-2"));
  assert.equal(asked.length, 2);
  assert.deepEqual(asked[1].body, { refresh_token: "refresh-1" });
});

test("a token that will not do any more is renewed at once, another one is handed out", async () => {
  const { session: tab, asked } = session(granted(1), granted(2));
  await tab.signIn("a@example.org", "correct horse");
  assert.equal(await tab.token("jwt-1"), "jwt-2");
  assert.equal(await tab.token("jwt-1"), "jwt-2");
  assert.equal(asked.length, 2);
});

test("a short token is renewed at half of its time, not without end", async () => {
  const { session: tab, asked, pass } = session(granted(1, 40), granted(2, 40));
  await tab.signIn("a@example.org", "correct horse");
  pass(19);
  assert.equal(await tab.token(), "jwt-1");
  pass(1);
  assert.equal(await tab.token(), "jwt-2");
  assert.equal(await tab.token(), "jwt-2");
  assert.equal(asked.length, 2);
});

test("a session that is over signs out; a project that is away does not", async () => {
  for (const [status, left] of [[400, false], [401, false], [0, true], [429, true], [503, true]]) {
    const { session: tab } = session(granted(1), { status, msg: "why" });
    await tab.signIn("a@example.org", "correct horse");
    const found = await tab.token("jwt-1").catch((error) => error);
    assert.equal(found instanceof Error, left, `status ${status}`);
    assert.equal(tab.signedIn, left, `status ${status}`);
  }
});

test("who is refused is told what to check", async () => {
  const refused = [
    [{ status: 400, error_code: "invalid_credentials", msg: "Invalid login credentials" }, /e-mail and password\. Check both/],
    [{ status: 400, code: 400, msg: "Invalid login credentials" }, /e-mail and password\. Check both/],
    [{ status: 400, error_code: "email_not_confirmed", msg: "Email not confirmed" }, /Follow the link/],
    [{ status: 401, message: "Invalid API key" }, /Invalid API key.*SUPABASE_PUBLISHABLE_KEY/],
    [{ status: 429, msg: "Request rate limit reached" }, /Request rate limit reached.*Wait a minute/],
    [{ status: 503 }, /status 503.*Try again/],
    [{ status: 422, msg: "Email logins are disabled" }, /Email logins are disabled.*Auth log/],
  ];
  for (const [answer, said] of refused) {
    const { session: tab } = session(answer);
    await assert.rejects(tab.signIn("a@example.org", "wrong"), said);
    assert.equal(tab.signedIn, false);
  }
});

test("a token that was pasted is used as it is, and cannot be renewed", async () => {
  const { session: tab, asked } = session();
  tab.use("jwt-9");
  assert.deepEqual([await tab.token("jwt-9"), tab.signedIn, tab.renewable], ["jwt-9", true, false]);
  await tab.signOut();
  assert.deepEqual([await tab.token(), asked], [null, []]);
});

test("who signs in or out does so in every tab", async () => {
  const { tabs: [first, second], noted, told } = tabs(2, { ...granted(1), access_token: jwt("anna") }, {});
  await first.signIn("a@example.org", "correct horse");
  told(1);
  assert.deepEqual([second.signedIn, second.user, await second.token()], [true, "anna", jwt("anna")]);
  await second.signOut();
  told(0);
  assert.deepEqual([first.signedIn, await first.token()], [false, null]);
  assert.deepEqual(noted, [[1, true], [0, true]]);
});

test("one tab renews for all, however many ask, and nobody else signs in by that", async () => {
  const { tabs: all, asked, noted, told, pass } = tabs(
    3, { ...granted(1), access_token: jwt("anna") }, { ...granted(2), access_token: jwt("anna", 2) },
  );
  await all[0].signIn("a@example.org", "correct horse");
  [1, 2].forEach(told);
  pass(3540);
  assert.deepEqual(await Promise.all(all.map((each) => each.token())), Array(3).fill(jwt("anna", 2)));
  assert.equal(asked.length, 2);
  [1, 2].forEach(told);
  assert.deepEqual(noted, [[1, true], [2, true], [1, false], [2, false]]);
});

test("a tab that has not heard yet of another user does nothing as that user", async () => {
  const { tabs: [first, second], noted } = tabs(2);
  first.use(jwt("anna"));
  await second.token().catch(() => {});
  second.use(jwt("bert"));
  await assert.rejects(first.token(), /in another tab/);
  assert.equal(await first.token(), jwt("bert")); // after the page has been told
  assert.deepEqual(noted, [[1, true], [0, true]]);
});

test("a session that was ended elsewhere while it was renewed stays ended", async () => {
  const { tabs: [first, second], asked, kept, pass } = tabs(
    2, { ...granted(1), access_token: jwt("anna") }, { ...granted(2), access_token: jwt("anna", 2) }, {},
  );
  await first.signIn("a@example.org", "correct horse");
  pass(3540);
  const renewed = first.token();
  while (asked.length < 2) await null;
  await second.signOut();
  assert.equal(await renewed, null);
  assert.deepEqual([first.signedIn, kept.size], [false, 0]);
});

test("what another program left under the name of the session is no session", async () => {
  for (const left of ["{broken", '"text"', "null", "{}", '{"access_token":7}']) {
    const storage = { getItem: () => left };
    const held = new Session(async () => CONFIG, { storage });
    assert.deepEqual([held.signedIn, held.user, await held.token()], [false, null, null]);
  }
});

test("where the browser blocks storage, a session lasts as long as its tab", async () => {
  Object.defineProperty(globalThis, "localStorage", {
    configurable: true,
    get() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    },
  });
  try {
    const made = new Session(async () => CONFIG, { locks: null });
    assert.equal(made.signedIn, false);
    made.use("pasted");
    assert.equal(await made.token(), "pasted");
  } finally {
    delete globalThis.localStorage;
  }
});
