// What is thrown on purpose. No message contains a token.

/** Base of all errors of this package. */
export class CrosstapeError extends Error {
  override name = "CrosstapeError";
}

/** The gateway refused a request. */
export class RequestError extends CrosstapeError {
  override name = "RequestError";
  /** HTTP status; 0 for a refusal over WebSocket. */
  readonly status: number;
  /** A constant word for programs, such as `unknown_kind`; empty if the answer was not the gateway's own. */
  readonly code: string;
  /** Seconds after which it may be tried again, where the answer says it. */
  readonly retryAfterS: number | undefined;

  constructor(message: string, status: number, code = "", retryAfterS?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** The token is missing, wrong or not valid any more (401), or the page's origin is not allowed (403). */
export class AccessError extends RequestError {
  override name = "AccessError";
}

/** The connection ended, or was silent for too long. Subscriptions do not throw it: they reconnect. Seen in `ConnectionState.reason`. */
export class ConnectionLost extends CrosstapeError {
  override name = "ConnectionLost";
}

/** What answers is no gateway, or not of a version that this package reads. */
export class ProtocolError extends CrosstapeError {
  override name = "ProtocolError";
}

interface ErrorBody {
  error?: { code?: unknown; message?: unknown };
}

const MAX_SHOWN = 200;

/** Makes the error of an HTTP answer that is not what was asked for. Reads its body. */
export async function errorOf(response: Response): Promise<RequestError> {
  const text = await response.text().catch(() => "");
  let body: ErrorBody = {};
  try {
    body = JSON.parse(text) as ErrorBody;
  } catch {
    // a proxy's page: the status says all there is
  }
  const { code, message } = body?.error ?? {};
  const ours = typeof code === "string" && typeof message === "string";
  const shown = ours ? message : `HTTP ${response.status} ${response.statusText}: ${text.slice(0, MAX_SHOWN).replace(/\s+/g, " ").trim()}`;
  const retryAfter = Number(response.headers.get("Retry-After") ?? NaN);
  const kind = response.status === 401 || response.status === 403 ? AccessError : RequestError;
  return new kind(shown, response.status, ours ? code : "", Number.isFinite(retryAfter) ? retryAfter : undefined);
}
