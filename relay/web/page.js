// The page: three boards, fed by one client, the scan button, and who is signed in.
import { Board } from "./board.js";
import { AlertCard, HotspotCard, RecommendationCard } from "./cards.js";
import { CloseCode, Commands, RelayClient } from "./client.js";
import { later, nothing, scan as scanText, worker } from "./format.js";
import { Session } from "./session.js";
import { SignIn } from "./sign-in.js";

const AGES_MS = 15_000;
const TICK_MS = 1_000;
const WORKER_MS = 5_000;
const UNAUTHORIZED = 401;
const FINAL = ["done", "failed"];

const session = new Session(async () => (await fetch("web/config.json")).json());
const client = new RelayClient({ url: new URL(".", location.href), token, tabs: false });
const commands = new Commands(client);
const send = (path) => authorised(() => commands.send("POST", path));
const boards = {
  hotspots: new Board("hotspots", (row) => new HotspotCard(row, send), (row) => row.status === "active"),
  alerts: new Board("alerts", (row) => new AlertCard(row, send), (row) => !row.acknowledged),
  recommendations: new Board(
    "recommendations",
    (row) => new RecommendationCard(row, send),
    (row) => row.status === "pending",
  ),
};

const signIn = new SignIn(session, begin);

client.onStatus((channel, status) => {
  const signedOut = status.code === CloseCode.UNAUTHORIZED && !session.signedIn;
  boards[channel].show({ ...status, signedOut });
  const over = status.code === CloseCode.TOKEN_EXPIRED && !session.renewable;
  if (status.code === CloseCode.UNAUTHORIZED || over) {
    boards[channel].take({ type: "reset" }); // it was for who was let in
    signIn.ask(status.reason);
  } else if (status.state === "open") signIn.settled();
});

// Begin with nothing, since whoever is let in now may see other rows than the one before.
const following = {};
function begin() {
  client.disconnect();
  for (const [channel, board] of Object.entries(boards)) {
    following[channel]?.();
    board.take({ type: "reset" });
    following[channel] = client.subscribe(channel, (frame) => board.take(frame));
  }
  sayOfScan("");
  client.connect();
}

// The page's commands need a user where its streams do: where nobody is signed in, ask who it is.
async function authorised(command) {
  try {
    return await command();
  } catch (error) {
    if (error.status !== UNAUTHORIZED) throw error;
    const again = session.signedIn;
    signIn.ask(error.message, { focus: true });
    throw new Error(again ? "Sign in again." : "Sign in first.", { cause: error });
  }
}

setInterval(() => Object.values(boards).forEach((board) => board.showAges()), AGES_MS);
setInterval(() => Object.values(boards).forEach((board) => board.showCountdown()), TICK_MS);

// Where no token is asked for, one that is left from another relay would only be refused.
async function token(spent) {
  if (!session.signedIn) return null;
  return (await session.config()).auth === "off" ? null : session.token(spent);
}

const workerPill = document.getElementById("worker");
let workerTold = null; // what the relay knows of the worker; null where that is nothing
let workerToldAt = 0;
const workerNow = () => later(workerTold, (performance.now() - workerToldAt) / 1000);

async function askForWorker() {
  try {
    workerTold = (await (await fetch("readyz", { cache: "no-store" })).json()).worker;
    workerToldAt = performance.now();
  } catch {
    workerTold = null; // the boards say that the relay is away
  }
  showWorker();
}

function showWorker() {
  const now = workerNow();
  boards.hotspots.showNothingAs(nothing(now));
  const told = worker(now);
  workerPill.hidden = told === null;
  if (told === null || workerPill.textContent === told.text) return;
  // Read aloud when it turns better or worse, and not with every second.
  workerPill.ariaLive = workerPill.dataset.tone === told.tone ? "off" : "polite";
  workerPill.dataset.tone = told.tone;
  workerPill.textContent = told.text;
}
setInterval(askForWorker, WORKER_MS);
setInterval(showWorker, TICK_MS);
askForWorker();

// A page that is kept in the browser's back-forward cache holds no connections.
addEventListener("pagehide", () => client.disconnect());
addEventListener("pageshow", (event) => event.persisted && begin());

const scan = document.getElementById("scan");
const result = document.getElementById("scan-result");
let followed = 0; // the number of the request whose scan is shown

// Say this, and nothing more of a scan that was followed until now. Returns its number.
function sayOfScan(text) {
  result.textContent = text;
  return ++followed;
}

scan.addEventListener("click", async () => {
  const mine = sayOfScan("");
  scan.disabled = true;
  try {
    const asked = await send("hotspots/scan");
    scan.disabled = false;
    // Until it has ended, another one was asked for, or another user is here.
    for (let found = asked; mine === followed; found = await stateOf(asked.id)) {
      result.textContent = scanText(found, workerNow());
      if (FINAL.includes(found.status)) return;
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  } catch (error) {
    if (mine === followed) result.textContent = error.message;
  } finally {
    scan.disabled = false;
  }
});

const stateOf = (id) => authorised(() => commands.scanState(id));

begin();
