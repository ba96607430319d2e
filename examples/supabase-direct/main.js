// The view: the newest rows of each table, and the state of the connection.
import { createClient } from "@supabase/supabase-js";
import { follow } from "./follow.js";

const TEXT = {
  hotspots: (row) => `${row.entity}: ${row.percent_above} % above the usual, ${row.status}`,
  alerts: (row) => row.message,
  recommendations: (row) => `${row.action}: ${row.status}`,
};

const supabase = createClient(import.meta.env.VITE_SUPABASE_URL, import.meta.env.VITE_SUPABASE_PUBLISHABLE_KEY);
const form = document.querySelector("form");
const state = document.querySelector("[role=status]");
const items = new Map();
let stop = null;

function changed(table, id, record) {
  const key = `${table}:${id}`;
  if (record === null) {
    items.get(key)?.remove();
    items.delete(key);
    return;
  }
  if (!items.has(key)) items.set(key, document.getElementById(table).appendChild(document.createElement("li")));
  items.get(key).textContent = TEXT[table](record);
}

// Policies let nobody read who is not signed in; Realtime would deliver empty messages without an error.
supabase.auth.onAuthStateChange((_event, session) => {
  form.hidden = session !== null;
  if (session !== null) stop ??= follow(supabase, { changed, told: (text) => (state.textContent = text) });
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { error } = await supabase.auth.signInWithPassword(Object.fromEntries(new FormData(form)));
  state.textContent = error?.message ?? "";
});
