// Commands to the relay over HTTP. What they change comes back through the streams.
const DEADLINE_MS = 15_000;

// What the relay answered. Throws an Error whose message can be shown.
export async function send(path) {
  let reply;
  try {
    reply = await fetch(path, { method: "POST", signal: AbortSignal.timeout(DEADLINE_MS) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Error(late ? "The relay did not answer in time." : "The relay cannot be reached.");
  }
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Error(body.detail ?? `The relay answered ${reply.status}.`);
  return body;
}
