/** Requests to the gateway. Each has a timeout: when other tabs hold all connections of this browser to it, a request waits for ever. */

import { PARAMETERS, parse } from "./json.js";

const TIMEOUT_MS = 8000;

export class ApiError extends Error {
  /** `status`: of HTTP; 0: no answer. `retryMs`: how long the gateway asks to wait. */
  constructor(status, code, message, retryMs = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryMs = retryMs;
  }
}

/** Returns the URL of a request, relative to the page. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams({ ...parameters, ...PARAMETERS }).toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  return query ? `${path}?${query}` : path;
}

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  } catch (error) {
    throw new ApiError(0, "no_answer", error.name === "TimeoutError" ? "no answer in time" : "cannot be reached");
  }
  const text = await response.text().catch(() => "");
  if (response.ok) return text;
  let said = {};
  try {
    said = parse(text).error ?? {};
  } catch {
    // a proxy's page: the status says enough
  }
  const retryS = Number(response.headers.get("Retry-After")) || 0;
  throw new ApiError(response.status, said.code ?? `http_${response.status}`, said.message ?? `status ${response.status}`, retryS * 1000);
}

/** Returns the parsed answer. Throws `ApiError`. */
export async function get(path, parameters) {
  const text = await ask(address(path, parameters));
  try {
    return parse(text);
  } catch {
    throw new ApiError(0, "bad_answer", "the answer is not from a gateway");
  }
}

/** Begin a session with a token. Throws `ApiError`: status 401 for a wrong one. */
export function enter(token) {
  return ask("api/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
}

export function leave() {
  return ask("api/session", { method: "DELETE" });
}

/** Returns all rows of an answer, whatever their kind. */
export function rowsOf(answer) {
  return Object.values(answer).filter(Array.isArray).flat();
}
