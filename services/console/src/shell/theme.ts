export type Theme = "system" | "light" | "dark";

const KEY = "runcast.theme";

export function currentTheme(): Theme {
  const { theme } = document.documentElement.dataset;
  return theme === "light" || theme === "dark" ? theme : "system";
}

export function setTheme(theme: Theme): void {
  const { dataset } = document.documentElement;
  if (theme === "system") delete dataset.theme;
  else dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage is off: it holds for this page.
  }
}

/** From light to dark and back, whatever the system wants. */
export function toggleTheme(): void {
  const isDark =
    currentTheme() === "dark" ||
    (currentTheme() === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  setTheme(isDark ? "light" : "dark");
}
