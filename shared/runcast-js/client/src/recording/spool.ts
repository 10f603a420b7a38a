/**
 * What a run has said and the server doesn't have yet, in memory. A line's number and byte are its identity at the
 * server, so lines are only added at the end, and leave at the beginning once they are stored. A message that is
 * sent twice is therefore stored once.
 */
export interface Upload {
  id: string;
  step: string;
  content: Blob;
  mediaType: string;
}
type Item = { line: string; bytes: number } | { upload: Upload };

/** Consecutive lines; `firstLine` counts from 1, offsets are bytes. */
export interface Portion {
  generation: number;
  firstLine: number;
  firstOffset: number;
  nextOffset: number;
  lines: string[];
}

const PORTION_LINES = 500;
const PORTION_BYTES = 64 * 1024;
const encoder = new TextEncoder();

export class Spool {
  /** Lines that found no room. */
  dropped = 0;
  /** Bytes that have left: what tells that something arrives. */
  sent = 0;
  #items: Item[] = [];
  #bytes = 0;
  #generation = 1;
  #line = 1;
  #offset = 0;

  constructor(private readonly limitBytes: number) {}

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }
  get isEmpty(): boolean {
    return this.#items.length === 0;
  }
  /** Whether files wait. */
  get hasUploads(): boolean {
    return this.#items.some((item) => "upload" in item);
  }

  /** Adds a message. One that isn't vital is dropped, and counted, where there is no room. */
  add(message: object, isVital = false): void {
    const line = JSON.stringify(message);
    const bytes = encoder.encode(line).length + 1;
    if (this.#hasRoom(bytes, isVital)) {
      this.#items.push({ line, bytes });
      this.#bytes += bytes;
    }
  }

  /** Adds a file, which is sent when everything before it is. */
  addUpload(upload: Upload): void {
    if (this.#hasRoom(upload.content.size, false)) {
      this.#items.push({ upload });
      this.#bytes += upload.content.size;
    }
  }

  /** The file that is to be sent next; null where lines are, or nothing. */
  upload(): Upload | null {
    const first = this.#items[0];
    return first && "upload" in first ? first.upload : null;
  }

  /** The upload was taken, or refused for good. */
  uploaded(): void {
    const first = this.#items[0];
    if (first && "upload" in first) {
      this.#items.shift();
      this.#bytes -= first.upload.content.size;
      this.sent += first.upload.content.size;
    }
  }

  /** The lines to be sent next, at most this many. */
  read(limit = PORTION_LINES): Portion {
    const lines: string[] = [];
    let bytes = 0;
    for (const item of this.#items) {
      if ("upload" in item || lines.length === limit || (lines.length > 0 && bytes + item.bytes > PORTION_BYTES)) break;
      lines.push(item.line);
      bytes += item.bytes;
    }
    const [generation, firstLine, firstOffset] = [this.#generation, this.#line, this.#offset];
    return { generation, firstLine, firstOffset, nextOffset: firstOffset + bytes, lines };
  }

  /** All lines that wait, without the files between them, in portions; at most `limitBytes` in all. */
  rest(limitBytes = Infinity): Portion[] {
    const portions: Portion[] = [];
    let place = { firstLine: this.#line, firstOffset: this.#offset };
    let room = limitBytes;
    for (const item of this.#items) {
      if ("upload" in item) continue;
      room -= item.bytes;
      if (room < 0) break;
      let last = portions.at(-1);
      const isFull = last && (last.lines.length === PORTION_LINES || last.nextOffset - last.firstOffset + item.bytes > PORTION_BYTES);
      if (!last || isFull) {
        last = { generation: this.#generation, ...place, nextOffset: place.firstOffset, lines: [] };
        portions.push(last);
      }
      last.lines.push(item.line);
      last.nextOffset += item.bytes;
      place = { firstLine: place.firstLine + 1, firstOffset: last.nextOffset };
    }
    return portions;
  }

  /** Puts an empty line in the place of the first one, which the server refuses for its content. */
  blank(): void {
    const first = this.#items[0];
    if (first && "line" in first) {
      this.#bytes += 1 - first.bytes;
      this.sent += first.bytes - 1;
      this.#items[0] = { line: "", bytes: 1 };
    }
  }

  /**
   * The server needs this line next: what is before it is stored. A server that lost lines (a backup was restored)
   * gets what is left as a new generation, whose lines count from 1.
   */
  seek(generation: number, line: number): void {
    if (generation !== this.#generation || line < this.#line) {
      this.#generation = Math.max(generation, this.#generation) + 1;
      this.#line = 1;
      this.#offset = 0;
      return;
    }
    let stored = 0;
    while (this.#line < line) {
      const item = this.#items[stored];
      if (!item || "upload" in item) break;
      this.#offset += item.bytes;
      this.#bytes -= item.bytes;
      this.sent += item.bytes;
      this.#line += 1;
      stored += 1;
    }
    this.#items.splice(0, stored);
  }

  clear(): void {
    this.#items = [];
    this.#bytes = 0;
  }

  #hasRoom(bytes: number, isVital: boolean): boolean {
    if (isVital || this.#items.length === 0 || this.#bytes + bytes <= this.limitBytes) return true;
    this.dropped += 1;
    return false;
  }
}
