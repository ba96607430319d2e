// Commands to the relay over HTTP. What they change comes back through the streams.
const DEADLINE_MS = 15_000;

// What the relay answered to the command, under the user's token where there is one. Throws an Error
// whose message can be shown.
export async function send(path, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let reply;
  try {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    reply = await fetch(path, { method: "POST", headers, signal });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Error(late ? "The relay did not answer in time." : "The relay cannot be reached.");
  }
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(body.detail ?? `The relay answered ${reply.status}.`);
  return body;
}
