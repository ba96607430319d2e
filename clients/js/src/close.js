// The relay's close codes, as in relay/close_codes.py (a test keeps the two equal).
export const CloseCode = Object.freeze({
  RESTARTING: 1012,
  OVERLOADED: 1013,
  TOO_SLOW: 4000,
  TOKEN_EXPIRED: 4001,
  TOO_MANY_MESSAGES: 4002,
  UNAUTHORIZED: 4500,
  BAD_MESSAGE: 4501,
  BAD_PARAMETER: 4502,
});

// Whether the same connection may succeed later; network failures (1006) are among them.
export function comeBack(code) {
  return code < 4500;
}
