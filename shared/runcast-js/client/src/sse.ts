/**
 * Server-Sent Events, parsed as the HTML standard says (§9.2.6), from text that arrives in any cuts.
 *
 * The one thing that differs from `EventSource`: an `id` line without data is reported too
 * (`onPosition`), because Runcast's heartbeats move the resume position past events which the
 * connection's filter left out.
 */

export interface SseFrame {
  /** The id that this very frame carried, or null: a frame without one keeps the old position. */
  id: string | null;
  event: string;
  data: string;
}

export interface SseSink {
  onFrame(frame: SseFrame): void;
  onPosition?(id: string): void;
  onRetry?(milliseconds: number): void;
}

export class SseParser {
  #rest = "";
  #started = false;
  #sawCarriageReturn = false;
  #id: string | null = null;
  #event = "";
  #data: string[] = [];

  constructor(private readonly sink: SseSink) {}

  feed(text: string): void {
    let chunk = text;
    if (!this.#started && chunk.length > 0) {
      this.#started = true;
      if (chunk.charCodeAt(0) === 0xfeff) chunk = chunk.slice(1);
    }
    if (this.#sawCarriageReturn && chunk.length > 0) {
      this.#sawCarriageReturn = false;
      if (chunk.startsWith("\n")) chunk = chunk.slice(1);
    }
    if (chunk.includes("\r")) {
      this.#sawCarriageReturn = chunk.endsWith("\r");
      chunk = chunk.replace(/\r\n?/g, "\n");
    }
    const buffer = this.#rest + chunk;
    let start = 0;
    for (let end = buffer.indexOf("\n"); end !== -1; end = buffer.indexOf("\n", start)) {
      this.#line(buffer.slice(start, end));
      start = end + 1;
    }
    this.#rest = buffer.slice(start);
  }

  #line(line: string): void {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon === -1 ? line : line.slice(0, colon);
    const from = line.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1;
    this.#field(field, colon === -1 ? "" : line.slice(from));
  }

  #field(field: string, value: string): void {
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.sink.onRetry?.(Number(value));
  }

  #dispatch(): void {
    const frame = { id: this.#id, event: this.#event || "message", data: this.#data.join("\n") };
    const hasData = this.#data.length > 0;
    this.#id = null;
    this.#event = "";
    this.#data = [];
    if (hasData) this.sink.onFrame(frame);
    else if (frame.id !== null) this.sink.onPosition?.(frame.id);
  }
}
