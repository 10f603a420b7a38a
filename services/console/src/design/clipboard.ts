/**
 * Puts text on the clipboard. On plain http there is no clipboard API, so the text is selected in an
 * element of the page and copied by the old command. Throws where the browser refuses both.
 */
export async function copyText(text: string): Promise<void> {
  // The API is missing outside of a secure context, whatever its type says.
  const clipboard = navigator.clipboard as Clipboard | undefined;
  if (clipboard) return clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.setAttribute("readonly", "");
  area.className = "fixed top-0 left-0 opacity-0";
  // A dialog keeps the focus within itself, so the element has to be inside of it.
  const host = document.querySelector("[role=dialog]") ?? document.body;
  const focused = document.activeElement;
  host.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  if (!isCopied) throw new Error("The browser doesn't allow copying here. Select the text and copy it.");
}
