// Before the first paint: the theme that was chosen, if it isn't the system's.
try {
  const theme = localStorage.getItem("runcast.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: the system's theme it is.
}
