// Rows out of the pieces in which a connection brings them: one to a line.
export function lines(take) {
  let rest = "";
  const decoder = new TextDecoder();
  return (piece) => {
    const found = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = found.pop();
    found.forEach(take);
  };
}
