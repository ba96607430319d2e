// The page: three boards, fed by one client, the scan button, and who is signed in.
import { Board } from "./board.js";
import { AlertCard, HotspotCard, RecommendationCard } from "./cards.js";
import { CloseCode, Commands, RelayClient } from "./client.js";
import { nothing, scan as scanText, worker } from "./format.js";
import { Session } from "./session.js";
import { SignIn } from "./sign-in.js";

const AGES_MS = 15_000;
const TICK_MS = 1_000;
const FINAL = ["done", "failed"];

const session = new Session(async () => (await fetch("web/config.json")).json());
const client = new RelayClient({ url: new URL(".", location.href), token, tabs: false });
const commands = new Commands(client);
const send = (path) => commands.send("POST", path);
const boards = {
  hotspots: new Board("hotspots", (row) => new HotspotCard(row, send), (row) => row.status === "active"),
  alerts: new Board("alerts", (row) => new AlertCard(row, send), (row) => !row.acknowledged),
  recommendations: new Board(
    "recommendations",
    (row) => new RecommendationCard(row, send),
    (row) => row.status === "pending",
  ),
};

const signIn = new SignIn(session, () => {
  client.disconnect();
  client.connect();
});

client.onStatus((channel, status) => {
  const signedOut = status.code === CloseCode.UNAUTHORIZED && !session.signedIn;
  boards[channel].show({ ...status, signedOut });
  const over = status.code === CloseCode.TOKEN_EXPIRED && !session.renewable;
  if (status.code === CloseCode.UNAUTHORIZED || over) signIn.ask(status.reason);
  else if (status.state === "open") signIn.settled();
});
for (const [channel, board] of Object.entries(boards)) {
  client.subscribe(channel, (frame) => board.take(frame));
}
client.connect();

setInterval(() => Object.values(boards).forEach((board) => board.showAges()), AGES_MS);
setInterval(() => Object.values(boards).forEach((board) => board.showCountdown()), TICK_MS);

// Where no token is asked for, one that is left from another relay would only be refused.
async function token(spent) {
  if (!session.signedIn) return null;
  return (await session.config()).auth === "off" ? null : session.token(spent);
}

const workerPill = document.getElementById("worker");
let workerTold = null; // what the relay knows of the worker; null where that is nothing
async function showWorker() {
  try {
    workerTold = (await (await fetch("readyz", { cache: "no-store" })).json()).worker;
  } catch {
    workerTold = null; // the boards say that the relay is away
  }
  boards.hotspots.showNothingAs(nothing(workerTold));
  const told = worker(workerTold);
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
let followed = 0; // the number of the request whose scan is shown
scan.addEventListener("click", async () => {
  const mine = ++followed;
  scan.disabled = true;
  result.textContent = "";
  try {
    const asked = await send("hotspots/scan");
    scan.disabled = false;
    // Until it has ended, or another one was asked for.
    for (let found = asked; mine === followed; found = await commands.scanState(asked.id)) {
      result.textContent = scanText(found, workerTold);
      if (FINAL.includes(found.status)) return;
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  } catch (error) {
    if (mine === followed) result.textContent = error.message;
  } finally {
    scan.disabled = false;
  }
});
