/** How this machine calls the key that goes with letters: ⌘ on Apple's, Ctrl elsewhere. */
export const MOD = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
