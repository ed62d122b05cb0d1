// Where the gateway is, and how a request shows that it may read.

import { CrosstapeError, RequestError, errorOf } from "../errors.js";

export type Token = string | (() => string | Promise<string>);

export class Access {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #fetch: typeof fetch;
  readonly #token: Token | undefined;

  /** Throws TypeError for an address that is none, or has a password in it. */
  constructor(url: string | URL, token: Token | undefined, fetcher: typeof fetch | undefined) {
    const base = globalThis.location?.href;
    if (!URL.canParse(url, base)) throw new TypeError(`url: "${url}" is no address; expected one such as http://localhost:8090`);
    const parsed = new URL(url, base);
    if (parsed.protocol !== "http:" && parsed.protocol !== "https:") {
      throw new TypeError(`url: expected http: or https:, got ${parsed.protocol} (the transport is an option of its own)`);
    }
    if (parsed.username || parsed.password)
      throw new TypeError("url: expected no user and password in it; a token is an option of its own");
    this.url = (parsed.origin + parsed.pathname).replace(/\/+$/, "");
    this.#token = token;
    this.#fetch = fetcher ?? ((...parameters) => globalThis.fetch(...parameters));
  }

  /** The token now; undefined: there is none, and a page's session stands for it. Throws CrosstapeError for one that is no token. */
  async token(): Promise<string | undefined> {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
      throw new CrosstapeError("token: expected printable ASCII without spaces"); // the platform's own error would show it
    }
    return token;
  }

  /** Sends a GET request. Throws RequestError for one that is longer than servers read. */
  async request(path: string, query: Record<string, string>, accept: string, signal?: AbortSignal): Promise<Response> {
    const token = await this.token();
    const target = path + search(query);
    if (target.length > MAX_TARGET) {
      throw new RequestError(
        "these are too many topics for one address: follow them over WebSocket, or all instruments by *",
        414,
        "too_long",
      );
    }
    return this.#fetch(this.url + target, {
      headers: { Accept: accept, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
      cache: "no-store",
      ...(signal ? { signal } : {}),
    });
  }

  /** Begins a session: the gateway answers with a cookie, which a page's browser sends where a header cannot be set. */
  async openSession(token: string, signal: AbortSignal): Promise<Response> {
    return this.#fetch(`${this.url}/api/session`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
      credentials: "include", // a page of another origin on the same site may have a session, too
      signal,
    });
  }

  /** Whether the browser keeps the session that was opened, and sends it. */
  async hasSession(signal: AbortSignal): Promise<boolean> {
    const response = await this.#fetch(`${this.url}/api/session`, { credentials: "include", cache: "no-store", signal });
    if (!response.ok) throw await errorOf(response);
    const { tokens, name } = (await response.json()) as { tokens?: boolean; name?: string | null };
    return tokens === false || typeof name === "string";
  }
}

/** Servers and proxies read lines of 8 KiB. */
const MAX_TARGET = 7_500;

/** The query of an address. Topics stay readable: `:`, `,` and `@` need no escape there. */
function search(query: Record<string, string>): string {
  const escape = (text: string): string => encodeURIComponent(text).replace(/%(3A|2C|40)/g, decodeURIComponent);
  const pairs = Object.entries(query).map(([name, value]) => `${escape(name)}=${escape(value)}`);
  return pairs.length ? `?${pairs.join("&")}` : "";
}
