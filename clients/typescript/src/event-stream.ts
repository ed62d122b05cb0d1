// Takes the text of a Server-Sent Events stream apart, as the HTML standard defines it. Pure.

export interface ServerMessage {
  data: string;
  /** The id that stands on this message; undefined: none does. */
  id: string | undefined;
}

const MAX_PENDING = 32 * 1024 * 1024;

export class EventStream {
  #pending = "";
  #data: string[] = [];
  #id: string | undefined;

  /** Returns the messages that are complete with this piece of text. Throws RangeError for one without an end. */
  push(text: string): ServerMessage[] {
    this.#pending += text;
    // A carriage return at the end may be the first half of a line's end.
    const end = this.#pending.endsWith("\r") ? this.#pending.length - 1 : this.#pending.length;
    const lines = this.#pending.slice(0, end).split(/\r\n|\n|\r/);
    this.#pending = lines.pop()! + this.#pending.slice(end);
    if (this.#pending.length > MAX_PENDING) throw new RangeError(`a line of more than ${MAX_PENDING} characters`);
    const messages: ServerMessage[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) messages.push({ data: this.#data.join("\n"), id: this.#id });
        this.#data = [];
        this.#id = undefined;
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
      if (field === "data") this.#data.push(value);
      else if (field === "id" && !value.includes("\0")) this.#id = value;
    }
    return messages;
  }
}
