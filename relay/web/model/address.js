// The state of the view that the page's address holds: filters, sort, window, and the open episode.
// Pure.
export const WINDOWS = Object.freeze({ "24h": 1, "7d": 7, "30d": 30 }); // days
export const SEVERITIES = Object.freeze(["critical", "warn", "info"]);
export const STATES = Object.freeze(["open", "acknowledged", "recovering", "silenced", "closed"]);
export const SORTS = Object.freeze({
  worst: "Worst first",
  severity: "By severity",
  excess: "Most excess kg",
  ratio: "Highest ratio",
  new: "Newest",
});
export const GROUPS = Object.freeze({ "": "No groups", supplier: "By supplier", activity: "By activity" });

const DEFAULTS = Object.freeze({
  window: "7d",
  q: "",
  severity: "",
  activity: "",
  supplier: "",
  series: "",
  is: "",
  sort: "worst",
  group: "",
  episode: null,
  theme: "",
});

const ALLOWED = {
  window: (value) => value in WINDOWS,
  severity: (value) => SEVERITIES.includes(value),
  series: (value) => value === "event" || value === "period",
  is: (value) => STATES.includes(value),
  sort: (value) => value in SORTS,
  group: (value) => value in GROUPS,
  theme: (value) => value === "light" || value === "dark",
};

// The view that an address asks for; what it says wrongly is as if it were not there.
export function viewOf(search) {
  const given = new URLSearchParams(search);
  const view = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    const value = given.get(name);
    if (value === null) continue;
    if (name === "episode") view.episode = /^[1-9]\d{0,15}$/.test(value) ? Number(value) : null;
    else if (!(name in ALLOWED) || ALLOWED[name](value)) view[name] = value;
  }
  return view;
}

// The search part of the view's address, empty where all is as it is by default.
export function searchOf(view) {
  const said = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (view[name] !== usual && view[name] !== null) said.set(name, view[name]);
  }
  return said.size > 0 ? `?${said}` : "";
}

// Whether the view leaves hotspots out.
export function isFiltered(view) {
  return ["q", "severity", "activity", "supplier", "series", "is"].some((name) => view[name] !== DEFAULTS[name]);
}

export const NO_FILTERS = Object.freeze({ q: "", severity: "", activity: "", supplier: "", series: "", is: "" });
