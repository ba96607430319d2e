// Prints how many bytes modules are when bundled, minified and compressed (gzip -9), as a page loads them.
//
//   node size.mjs                               this package, each part with all that it needs
//   node size.mjs folder package:name...        what those that are installed in `folder` export by a name
import { existsSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const OWN = ["client:RelayClient", "commands:Commands", "storage:*", "store:storeOf", "react:useRows"];
const [folder, ...packages] = process.argv.slice(2);
if (folder && !existsSync(`${folder}/node_modules`)) throw new Error(`nothing is installed in ${folder}`);

for (const wanted of folder ? packages : OWN) {
  const [part, name = "*"] = wanted.split(":");
  const names = name === "*" ? name : `{ ${name} }`;
  const { outputFiles } = await build({
    stdin: { contents: `export ${names} from "${folder ? part : `./src/${part}.js`}";`, resolveDir: folder ?? import.meta.dirname },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    external: ["react"],
    write: false,
    logLevel: "error",
  });
  console.log(`${part} ${gzipSync(outputFiles[0].contents, { level: 9 }).length}`);
}
