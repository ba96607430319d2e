// The page: three boards, fed by one client, and the scan button.
import { Board } from "./board.js";
import { AlertCard, HotspotCard, RecommendationCard } from "./cards.js";
import { RelayClient } from "./client.js";
import { send } from "./commands.js";

const AGES_MS = 15_000;

const boards = {
  hotspots: new Board("hotspots", HotspotCard, (row) => row.status === "active"),
  alerts: new Board("alerts", AlertCard, (row) => !row.acknowledged),
  recommendations: new Board("recommendations", RecommendationCard, isPending),
};

const client = new RelayClient({ url: new URL(".", location.href), last: 200 });
client.onStatus((channel, status) => boards[channel].show(status));
for (const [channel, board] of Object.entries(boards)) {
  client.subscribe(channel, (frame) => board.take(frame));
}
client.connect();

setInterval(() => Object.values(boards).forEach((board) => board.showAges()), AGES_MS);

// A page that is kept in the browser's back-forward cache holds no connections.
addEventListener("pagehide", () => client.disconnect());
addEventListener("pageshow", (event) => event.persisted && client.connect());

const scan = document.getElementById("scan");
const result = document.getElementById("scan-result");
scan.addEventListener("click", async () => {
  scan.disabled = true;
  result.textContent = "";
  try {
    const { id } = await send("hotspots/scan");
    result.textContent = `Scan ${id} is queued`;
  } catch (error) {
    result.textContent = error.message;
  } finally {
    scan.disabled = false;
  }
});

function isPending(row) {
  return row.status === "pending";
}
