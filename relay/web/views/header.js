// The header: whether the relay and the worker live, each by its own word, and the reader's menu.
import { html } from "../dom.js";
import { clockSeconds } from "../format.js";

export function Header({ page }) {
  const relay = page.health.relay.value;
  const worker = page.health.worker.value;
  const alarm = page.signedOut.value ? null : [relay, worker].find((part) => part?.tone === "bad");
  return html`<header class=${`top ${alarm ? "alarm" : ""}`}>
    <h1 class="brand"><svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><circle cx="10" cy="10" r="3" /><path
      d="M4.6 4.6a7.6 7.6 0 0 0 0 10.8M15.4 4.6a7.6 7.6 0 0 1 0 10.8" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" /></svg>Hotspot Relay</h1>
    <div class="health" role="group" aria-label="Relay and worker">
      <${Chip} id="relay" part=${relay} /><${Chip} id="worker" part=${worker} />
    </div>
    <span class="vh" role="status">${[relay, worker].filter(Boolean).map(({ text }) => text.replace(/\d+ s/, "a moment")).join(", ")}</span>
    <p class="banner" role="alert">${alarm ? advice(page, relay, worker) : ""}</p>
    <div class="tools">
      <output id="scan-result" class="dim">${page.scanText.value}</output>
      <button type="button" class="icon" id="theme" aria-label="Switch between light and dark" title="Light or dark" onClick=${() => page.switchTheme()}>
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.5" /><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" /></svg></button>
      <button type="button" class="icon" aria-label="Keyboard help" title="Keyboard help (?)" onClick=${() => page.showHelp()}>?</button>
      <details class="menu" id="account"><summary class="icon" aria-label="Menu">☰</summary>
        <div class="pop">
          ${page.who.value && html`<p class="dim"><${Bdi} text=${page.who.value} /></p>`}
          <button type="button" disabled=${page.signedOut.value} onClick=${closing(() => (page.dialog.value = "views"))}>Saved views</button>
          <button type="button" id="scan" disabled=${page.signedOut.value} onClick=${closing(() => page.scan())}>Scan now</button>
          ${page.mayLeave.value && html`<button type="button" id="sign-out" onClick=${closing(() => page.signOut())}>Sign out</button>`}
        </div></details>
    </div>
  </header>`;
}

const Bdi = ({ text }) => html`<bdi>${text}</bdi>`;

const closing = (act) => (event) => {
  event.currentTarget.closest("details").open = false;
  act();
};

function Chip({ id, part }) {
  if (!part) return null;
  return html`<span class=${`chip ${part.tone}`} id=${id}><span class="dot" aria-hidden="true"></span><b>${part.text}</b>${part.detail && html` <span class="long">${part.detail}</span>`}</span>`;
}

function advice(page, relay, worker) {
  if (relay?.tone === "bad") {
    const waits = relay.text.startsWith("Relay lost, again");
    const why = relay.text === "Relay cut off" ? "The relay does not reach Supabase; its /readyz says why. " : "";
    const { asOf } = page.health;
    return html`${why}What is shown is as of ${asOf === null ? "the last change" : clockSeconds(asOf)}.${waits && html` <button type="button" class="btn" onClick=${() => page.client.retryNow()}>Try now</button>`}`;
  }
  return worker.text === "No worker" ? "Nothing is judged: no worker has run yet. Start it: python -m worker run" : "Nothing new is judged until it is back. Is it running? Its log says why not.";
}
