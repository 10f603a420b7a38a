/** Text without the differences of case, as the server compares it: Unicode's full case folding. */

/** Whose folding isn't the small letter of its capital. */
const OTHERS: Readonly<Record<string, string>> = { ı: "ı", "\u1e9e": "ss" };

/** "Straße" and "STRASSE" are the same afterwards, and so are "ſ" and "s", "ς" and "σ". */
export function caseFolded(text: string): string {
  const plain = text.replace(
    /[^\x00-\x7f]/gu,
    (letter) => OTHERS[letter] ?? letter.toUpperCase().toLowerCase(),
  );
  return plain.toLowerCase();
}
