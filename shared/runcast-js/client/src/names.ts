/**
 * The rule for names that become names of files, the same as `runcast.contract` in Python:
 * `tests/contract/names.json` holds both to it.
 */
const KEY = /^[A-Za-z0-9._-]{1,128}$/;
const MAX_SOURCE = 200;
const UNSAFE = /[\u0000-\u001f\u007f/\\<>:"|?*]|\p{Surrogate}/u;
const DEVICE = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?$/is;

/** What keeps a text from being a run's key, for a person; null where nothing does. */
export function keyFault(key: string): string | null {
  if (!KEY.test(key)) {
    return "may hold letters, digits, '.', '_' and '-', at most 128 characters";
  }
  return nameFault(key);
}

/** What keeps a text from being the name of a source of lines, for a person; null where nothing does. */
export function sourceFault(source: string): string | null {
  const length = [...source].length;
  if (length === 0 || length > MAX_SOURCE) return `must have 1 to ${MAX_SOURCE} characters`;
  if (UNSAFE.test(source)) {
    return "must be a plain file name, without '/', '\\\\', ':' and control characters";
  }
  return nameFault(source);
}

function nameFault(name: string): string | null {
  if (/^\.+$/.test(name)) return "must not consist of dots alone";
  if (/[. ]$/.test(name)) return "must not end with a dot or a space, which Windows drops";
  return DEVICE.test(name) ? "is the name of a device on Windows" : null;
}

/**
 * A name as one segment of an address. "." and ".." are refused: `fetch` resolves them, encoded or not,
 * and the request would go to another address.
 */
export function segment(name: string): string {
  if (name === "" || name === "." || name === "..") {
    throw new TypeError(`"${name}" can't be the name of anything here`);
  }
  return encodeURIComponent(name);
}
