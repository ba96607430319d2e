// A hotspot as the relay tells it; `change` says what is other than usual.
export const DAY = 86_400_000;
export const NOW = Date.parse("2026-03-12T12:00:00Z");
export const at = (days) => new Date(NOW - days * DAY).toISOString();

export function hotspot(id, change = {}) {
  return {
    id,
    entity: `Supplier ${id}`,
    entity_type: "supplier",
    event_type: "factory",
    predicted_co2: 150,
    baseline_co2: 100,
    percent_above: 50,
    severity: "warn",
    status: "active",
    phase: "firing",
    series: "event",
    rule: "shift",
    excess_kg: 300,
    reason: "50 % more kg per t",
    occurred_at: at(10),
    last_seen_at: at(0),
    acknowledged_at: null,
    ...change,
  };
}
