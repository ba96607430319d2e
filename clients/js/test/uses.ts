// Every export as an application uses it; compiled with --strict and never run.
import { CHANNELS, CloseCode, RelayClient, comeBack, hasRecord, idOf } from "hotspot-relay-client";
import type { Channel, ChannelStatus, Frame, Hotspot, Options, Records } from "hotspot-relay-client";
import { Commands, RelayError } from "hotspot-relay-client/commands";
import { inDatabase, inSession } from "hotspot-relay-client/storage";
import { storeOf } from "hotspot-relay-client/store";
import { useRows } from "hotspot-relay-client/react";

interface MyHotspot extends Hotspot {
  tenant: string;
}
interface MyRecords extends Records {
  hotspots: MyHotspot;
}

const options: Options = {
  url: "https://relay.example.org/up",
  filters: { hotspots: { severity: ["warn", "critical"], status: "active", entity: ["Acme, Inc."] } },
  token: async () => null,
  storage: inSession(),
  ids: "string",
  pauseHiddenSeconds: 300,
};
const client = new RelayClient<MyRecords>(options);
new RelayClient({ storage: inDatabase(), tabs: false });
// @ts-expect-error: no such severity
new RelayClient({ filters: { hotspots: { severity: "high" } } });
// @ts-expect-error: no such channel
new RelayClient({ filters: { hotspot: { severity: "warn" } } });
// @ts-expect-error: no such option
new RelayClient({ filter: { hotspots: { severity: "warn" } } });
// @ts-expect-error: no such channel
client.subscribe("hotspot", () => {});

const abort = new AbortController();
const held = new Map<number | string, MyHotspot>();
const stop = client.subscribe(
  "hotspots",
  (frame) => {
    if (frame.type === "reset") held.clear();
    else if (frame.type === "synced") console.log(frame.complete);
    else if (hasRecord(frame)) held.set(frame.record.id, frame.record);
    else held.delete(idOf(frame));
  },
  { signal: abort.signal },
);
client.onStatus((channel: Channel, status: ChannelStatus) => {
  if (status.code === CloseCode.UNAUTHORIZED || !comeBack(status.code ?? 0)) client.setToken("another");
  if (status.retryAt !== undefined) console.log(channel, new Date(status.retryAt));
});
client.connect();
client.retryNow();
client.setFilter("alerts", { severity: "critical" });

async function follow(): Promise<void> {
  for await (const frame of client.frames("hotspots", { signal: abort.signal })) {
    const known: Frame<MyHotspot> = frame;
    console.log(known.type);
  }
  const commands = new Commands(client);
  try {
    const { id } = await commands.scan();
    console.log((await commands.scanState(id)).status);
    const advice = await commands.approve(1, { notes: "yes", signal: abort.signal });
    console.log(advice.status, (await commands.acknowledge("7")).level);
    const { done, refused } = await commands.decideHotspots([1, "2"], "accepted", { notes: "a new fleet" });
    console.log(done.length, refused[0]?.reason, (await commands.undo("hotspot", done)).done);
    // @ts-expect-error: no such decision
    await commands.decideHotspots([1], "closed");
    const silence = await commands.silence({ until: "2030-01-01T00:00:00Z", why: "works", severity: "warn" });
    console.log((await commands.endSilence(silence.id)).ended_at, (await commands.silences()).length);
    console.log((await commands.resetKey("Acme", "factory")).hotspot);
  } catch (error) {
    if (error instanceof RelayError && error.status === 409) console.log(error.message);
  }
}

function Component(): string {
  const { rows, synced, status } = useRows(client, "hotspots", {
    filter: critical,
    compare: (a, b) => b.percent_above - a.percent_above,
  });
  return `${rows[0]?.tenant} ${synced} ${status.state}`;
}
const critical = (row: MyHotspot): boolean => row.severity === "critical";
const store = storeOf(client, "recommendations");
const leave = store.subscribe(() => console.log(store.getSnapshot().rows.length));

export { CHANNELS, Component, follow, leave, stop };
