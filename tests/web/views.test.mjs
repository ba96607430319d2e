import assert from "node:assert/strict";
import test from "node:test";
import { viewOf } from "../../relay/web/model/address.js";
import { restored, SavedViews } from "../../relay/web/model/views.js";

function browser(kept = new Map()) {
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
}

test("a view is saved under its name without its episode and comes back beside the one that is open", () => {
  const saved = new SavedViews(browser());
  saved.of("anna");
  saved.save("  Worst trucks ", viewOf("?activity=logistics&sort=ratio&episode=7&theme=dark"));
  assert.deepEqual(saved.all.value, [{ name: "Worst trucks", search: "?activity=logistics&sort=ratio" }]);
  const view = restored(saved.all.value[0].search, viewOf("?q=mills&episode=9&theme=light"));
  assert.deepEqual(view, viewOf("?activity=logistics&sort=ratio&episode=9&theme=light"));
});

test("a name is used once, views are listed by name, and one can be dropped", () => {
  const saved = new SavedViews(browser());
  saved.of("anna");
  for (const [name, search] of [["b", "?q=1"], ["a", "?q=2"], ["b", "?q=3"], [" ", "?q=4"]]) saved.save(name, viewOf(search));
  assert.deepEqual(saved.all.value, [{ name: "a", search: "?q=2" }, { name: "b", search: "?q=3" }]);
  saved.drop("a");
  assert.deepEqual(saved.all.value, [{ name: "b", search: "?q=3" }]);
});

test("each user has other views, and what another program left there is none", () => {
  const kept = new Map([["relay.views.bert", "no list"]]);
  const saved = new SavedViews(browser(kept));
  saved.of("anna");
  saved.save("mine", viewOf("?q=1"));
  saved.of("bert");
  assert.deepEqual(saved.all.value, []);
  saved.of("anna");
  assert.equal(saved.all.value.length, 1);
});

test("where as many views are kept as there can be, another one is refused and none is lost", () => {
  const saved = new SavedViews(browser());
  saved.of("anna");
  const names = Array.from({ length: 50 }, (_, number) => `view ${10 + number}`);
  for (const name of names) assert.equal(saved.save(name, viewOf("?q=1")), true);
  for (const name of ["a first one", "zz a last one"]) assert.equal(saved.save(name, viewOf("?q=2")), false);
  assert.deepEqual(saved.all.value.map(({ name }) => name), names);
  assert.equal(saved.save("view 10", viewOf("?q=3")), true);
  assert.equal(saved.all.value[0].search, "?q=3");
});
