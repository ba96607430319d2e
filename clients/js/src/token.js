// The application's token, or its getter, which is asked again and again: what it throws is told
// once, until it has given a token.
export function warningOnce(source, onError) {
  if (typeof source !== "function") return source;
  let warned = false;
  return async (spent) => {
    try {
      const token = await source(spent);
      warned = false;
      return token;
    } catch (cause) {
      if (!warned) {
        const why = cause?.message ?? cause;
        onError(new Error(`the token could not be had and is asked for again: ${why}`, { cause }));
      }
      warned = true;
      throw cause;
    }
  };
}
