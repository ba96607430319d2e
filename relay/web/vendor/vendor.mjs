// Copies the page's libraries out of node_modules, with their licences, so that the relay serves them
// itself. Imports by package name become relative ones: browsers resolve the former only by an import
// map, which the page's content policy would have to let in as inline script.
//   npm ci && npm run vendor
import { readFile, writeFile } from "node:fs/promises";

const FILES = {
  preact: ["preact", "dist/preact.mjs"],
  "preact/hooks": ["preact", "hooks/dist/hooks.mjs"],
  "@preact/signals-core": ["@preact/signals-core", "dist/signals-core.mjs"],
  "@preact/signals": ["@preact/signals", "dist/signals.mjs"],
  htm: ["htm", "dist/htm.mjs"],
  uplot: ["uplot", "dist/uPlot.esm.js"],
};
const from = (path) => new URL(`node_modules/${path}`, import.meta.url);
const here = (name) => new URL(name, import.meta.url);
const local = (name) => `${name.replace("@", "").replaceAll("/", "-")}.js`;

const notices = [];
for (const [name, [folder, file]] of Object.entries(FILES)) {
  const { version, license } = JSON.parse(await readFile(from(`${folder}/package.json`)));
  const source = await readFile(from(`${folder}/${file}`), "utf8");
  const linked = source
    .replace(/(\bfrom\s*|\bimport\s*)"([a-z@][^"\s]*)"/g, (whole, keyword, imported) => {
      if (!(imported in FILES)) throw new Error(`${name} imports ${imported}, which is not vendored`);
      return `${keyword}"./${local(imported)}"`;
    })
    .replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");
  await writeFile(here(local(name)), linked);
  if (notices.some((notice) => notice.startsWith(`${folder} `))) continue;
  const text = await readFile(from(`${folder}/LICENSE`), "utf8").catch(() => readFile(from(`${folder}/LICENSE.md`), "utf8"));
  notices.push(`${folder} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(here("uplot.css"), await readFile(from("uplot/dist/uPlot.min.css"), "utf8"));
await writeFile(here("LICENSES.txt"), notices.join("\n" + "-".repeat(80) + "\n\n"));
