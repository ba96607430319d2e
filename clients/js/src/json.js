// JSON as the relay sends it, and the same with ids as strings, beyond 2^53 too.

// A string, and the integer after it where the string is a name.
const TOKENS = /"((?:[^"\\]|\\.)*)"(\s*:\s*)?(-?\d+(?![\d.eE]))?/g;
const IS_ID = /(?:^|_)id$/;

// The object in the text, or null where there is none with a `type`. With `ids` "string" the value
// of `id` and of each name that ends in `_id` is a string where the relay sends an integer.
export function parse(text, ids) {
  try {
    const frame = JSON.parse(ids === "string" ? quoted(text) : text);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}

function quoted(text) {
  return text.replace(TOKENS, (all, name, colon, integer) =>
    colon && integer && IS_ID.test(name) ? `"${name}"${colon}"${integer}"` : all,
  );
}
