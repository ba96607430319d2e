// Lets Node.js import the page's modules as the relay serves them: /web/client/ is the client package.
import { register } from "node:module";

const CLIENT = new URL("../../clients/js/src/", import.meta.url).href;
const hook = `
  export async function resolve(specifier, context, next) {
    const found = new URL(specifier, context.parentURL).href;
    const at = found.indexOf("/relay/web/client/");
    return at < 0 ? next(specifier, context) : next(${JSON.stringify(CLIENT)} + found.slice(at + 18), context);
  }`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
