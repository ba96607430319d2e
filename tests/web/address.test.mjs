import assert from "node:assert/strict";
import test from "node:test";
import { isFiltered, NO_FILTERS, searchOf, viewOf } from "../../relay/web/model/address.js";

test("an address without anything is the view by default, whose address is empty", () => {
  const view = viewOf("");
  assert.deepEqual([view.window, view.sort, view.episode], ["7d", "worst", null]);
  assert.equal(searchOf(view), "");
  assert.equal(isFiltered(view), false);
});

test("every filter, the sort, the window and the episode survive a reload", () => {
  const view = {
    ...viewOf(""), window: "30d", q: "gas & steam", severity: "critical", activity: "factory", supplier: "Acme, Inc. #1",
    series: "period", is: "silenced", sort: "ratio", group: "supplier", episode: 412, theme: "dark",
  };
  assert.deepEqual(viewOf(searchOf(view)), view);
  assert.equal(isFiltered(view), true);
  assert.equal(isFiltered({ ...view, ...NO_FILTERS }), false);
});

test("what an address says wrongly is as if it were not there", () => {
  const wrong = "?window=9d&severity=fatal&is=gone&sort=luck&group=x&episode=1e9&theme=pink&series=x&unknown=1";
  assert.deepEqual(viewOf(wrong), viewOf(""));
});
