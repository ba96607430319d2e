// The page: three boards, fed by one client, and the scan button.
import { Board } from "./board.js";
import { AlertCard, HotspotCard, RecommendationCard } from "./cards.js";
import { CloseCode, RelayClient } from "./client.js";
import { send } from "./commands.js";
import { worker } from "./format.js";

const AGES_MS = 15_000;

const signIn = document.getElementById("sign-in");
const boards = {
  hotspots: new Board("hotspots", HotspotCard, (row) => row.status === "active"),
  alerts: new Board("alerts", AlertCard, (row) => !row.acknowledged),
  recommendations: new Board("recommendations", RecommendationCard, isPending),
};

const TOKEN = "relay.token"; // for this tab alone
const token = () => sessionStorage.getItem(TOKEN);

const client = new RelayClient({ url: new URL(".", location.href), token });
client.onStatus((channel, status) => {
  boards[channel].show(status);
  if (status.code === CloseCode.UNAUTHORIZED) signIn.hidden = false;
});
for (const [channel, board] of Object.entries(boards)) {
  client.subscribe(channel, (frame) => board.take(frame));
}
client.connect();

setInterval(() => Object.values(boards).forEach((board) => board.showAges()), AGES_MS);

const workerPill = document.getElementById("worker");
async function showWorker() {
  let told = null;
  try {
    told = worker((await (await fetch("readyz", { cache: "no-store" })).json()).worker);
  } catch {
    // Without an answer nothing is known; the boards say that the relay is away.
  }
  workerPill.hidden = told === null;
  if (told === null) return;
  workerPill.dataset.tone = told.tone;
  if (workerPill.textContent !== told.text) workerPill.textContent = told.text;
}
setInterval(showWorker, AGES_MS);
showWorker();

// A page that is kept in the browser's back-forward cache holds no connections.
addEventListener("pagehide", () => client.disconnect());
addEventListener("pageshow", (event) => event.persisted && client.connect());

const scan = document.getElementById("scan");
const result = document.getElementById("scan-result");
scan.addEventListener("click", async () => {
  scan.disabled = true;
  result.textContent = "";
  try {
    const { id } = await send("hotspots/scan", token());
    result.textContent = `Scan ${id} is queued`;
  } catch (error) {
    result.textContent = error.message;
  } finally {
    scan.disabled = false;
  }
});

signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, new FormData(signIn).get("token").trim());
  signIn.reset();
  signIn.hidden = true;
  client.connect();
});

function isPending(row) {
  return row.status === "pending";
}
