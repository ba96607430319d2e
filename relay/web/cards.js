// One card per row. A card is built once and updated in place, so that focus stays where it is.
// Text goes in as text only: rows may hold anything, also markup. `send` sends a command.
import { ago, kilograms, percent } from "./format.js";

const CONFIRMED_MS = 10_000; // time for a change to come back through the stream

export class HotspotCard {
  constructor(row, send) {
    this.element = shell(row);
    this.badge = part(this.element, "span", "badge");
    this.title = part(this.element, "h3");
    this.figure = part(this.element, "p", "figure");
    this.detail = part(this.element, "p", "detail");
    this.reason = part(this.element, "p", "detail");
    this.bar = part(this.element, "div", "bar");
    this.fill = part(this.bar, "span");
    this.foot = new Foot(this.element, row.created_at);
    this.actions = new Actions(this.element, [
      { name: "Resolve", doing: "Resolving", path: `hotspots/${row.id}/resolve` },
    ], `hotspot ${row.id}`, send);
  }

  update(row) {
    const open = row.status === "active";
    mark(this.element, row.severity, open);
    this.badge.textContent = row.severity;
    this.title.textContent = row.entity;
    this.figure.textContent = percent(row.percent_above);
    const figures = `${kilograms(row.predicted_co2)}, usually ${kilograms(row.baseline_co2)}`;
    this.detail.textContent = `${row.event_type}: ${figures}`;
    this.reason.textContent = row.reason ?? "";
    this.fill.style.width = `${share(row.baseline_co2, row.predicted_co2)}%`;
    this.foot.say(row.status, row.resolved_at);
    this.actions.offer(open);
  }
}

export class AlertCard {
  constructor(row, send) {
    this.element = shell(row);
    this.badge = part(this.element, "span", "badge");
    this.title = part(this.element, "h3", "prose");
    this.foot = new Foot(this.element, row.created_at);
    this.actions = new Actions(this.element, [
      { name: "Acknowledge", doing: "Acknowledging", path: `alerts/${row.id}/acknowledge` },
    ], `alert ${row.id}`, send);
  }

  update(row) {
    mark(this.element, row.level, !row.acknowledged);
    this.badge.textContent = row.level;
    this.title.textContent = row.message;
    const seen = row.acknowledged ? "acknowledged" : "unseen";
    this.foot.say(`${row.kind} · ${seen}`, row.acknowledged_at);
    this.actions.offer(!row.acknowledged);
  }
}

export class RecommendationCard {
  constructor(row, send) {
    this.element = shell(row);
    this.badge = part(this.element, "span", "badge");
    this.title = part(this.element, "h3", "prose");
    this.figure = part(this.element, "p", "figure");
    this.detail = part(this.element, "p", "detail");
    this.foot = new Foot(this.element, row.created_at);
    this.actions = new Actions(this.element, [
      { name: "Approve", doing: "Approving", path: `recommendations/${row.id}/approve` },
      { name: "Reject", doing: "Rejecting", path: `recommendations/${row.id}/reject` },
    ], `recommendation ${row.id}`, send);
  }

  update(row) {
    const open = row.status === "pending";
    mark(this.element, row.status, open);
    this.badge.textContent = row.status;
    this.title.textContent = row.action;
    this.figure.textContent = `−${kilograms(row.co2_reduction)}`;
    this.detail.textContent = row.root_cause ?? "";
    this.foot.say(`hotspot ${row.hotspot_id}`);
    this.actions.offer(open);
  }
}

// What state the row is in, since when where that is known, and when it was created.
class Foot {
  constructor(parent, created) {
    const foot = part(parent, "p", "foot");
    this.state = part(foot, "span");
    this.since = part(foot, "time", "since");
    this.created = part(foot, "time");
    set(this.created, created);
  }

  say(state, since) {
    this.state.textContent = since ? `${state} ` : state;
    this.since.hidden = !since;
    if (since) set(this.since, since);
    showAge(this.created);
  }
}

function set(time, moment) {
  time.dateTime = moment;
  time.title = new Date(moment).toLocaleString();
  showAge(time);
}

// Buttons that send a command and stay disabled until its effect has come back.
class Actions {
  #choices;
  #timer = null;
  #sendCommand;

  constructor(parent, choices, subject, send) {
    this.#sendCommand = send;
    this.element = part(parent, "div", choices.length === 1 ? "actions single" : "actions");
    this.#choices = choices.map((choice) => ({ ...choice, button: part(this.element, "button") }));
    for (const choice of this.#choices) {
      choice.button.type = "button";
      choice.button.textContent = choice.name;
      choice.button.setAttribute("aria-label", `${choice.name} ${subject}`);
      choice.button.addEventListener("click", () => this.#send(choice));
    }
    this.error = part(parent, "p", "error");
    this.error.setAttribute("role", "alert");
    this.card = parent;
  }

  // The row is as it is now: what was sent before has had its effect.
  offer(possible) {
    this.#settle("");
    if (!possible && this.element.contains(document.activeElement)) this.card.focus();
    this.element.hidden = !possible;
  }

  async #send(choice) {
    this.error.textContent = "";
    for (const { button } of this.#choices) button.disabled = true;
    choice.button.textContent = `${choice.doing}…`;
    try {
      await this.#sendCommand(choice.path);
    } catch (error) {
      this.#settle(error.message);
      return;
    }
    if (this.element.hidden) return; // the stream was faster than the answer
    const late = "Done, but the stream has not confirmed it yet.";
    this.#timer = setTimeout(() => this.#settle(late), CONFIRMED_MS);
  }

  #settle(error) {
    clearTimeout(this.#timer);
    this.error.textContent = error;
    for (const { button, name } of this.#choices) {
      button.disabled = false;
      button.textContent = name;
    }
  }
}

export function showAge(time) {
  time.textContent = ago(time.dateTime, Date.now());
}

function shell(row) {
  const card = document.createElement("li");
  card.className = "card";
  card.tabIndex = -1;
  card.dataset.id = row.id;
  return card;
}

function part(parent, tag, className = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  return parent.appendChild(element);
}

function mark(card, tone, open) {
  card.dataset.tone = tone;
  card.classList.toggle("closed", !open);
}

function share(baseline, predicted) {
  return predicted > 0 ? Math.max(0, Math.min(100, (100 * baseline) / predicted)) : 100;
}
