/**
 * Shows what the server pushes, also while no page is open. A button follows its link, which answers once; a
 * press on the message opens the run. What replaces an earlier message (a question that was closed) makes no
 * sound.
 */
self.addEventListener("push", (event) => {
  const told = read(event.data);
  event.waitUntil(
    self.registration.showNotification(told.title, {
      body: told.body,
      tag: told.tag,
      renotify: !told.quiet,
      silent: told.quiet,
      icon: "/ui/icon.svg",
      actions: told.buttons.map(({ action, title }) => ({ action, title })),
      data: told,
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  const { notification, action } = event;
  notification.close();
  const button = notification.data.buttons.find((one) => one.action === action);
  event.waitUntil(button ? press(button, notification.data) : open(notification.data.url));
});

/** What was pushed; something to open where it can't be read. */
function read(data) {
  try {
    const { title, body, tag, url, quiet, buttons } = data.json();
    return { title, body, tag, url, quiet, buttons };
  } catch {
    return { title: "Runcast", body: "", tag: "runcast", url: "/ui/inbox", quiet: false, buttons: [] };
  }
}

async function press(button, told) {
  const answered = await fetch(button.path, { method: "POST", credentials: "omit" }).catch(() => null);
  // Someone was faster, or the link has ended: the run's page says how it stands.
  if (!answered?.ok) await open(told.url);
}

async function open(address) {
  const url = new URL(address, self.location.origin);
  // The server may be known by another name to itself than to this browser.
  const here = self.location.origin + url.pathname;
  for (const page of await self.clients.matchAll({ type: "window" })) {
    if (new URL(page.url).pathname === url.pathname) return page.focus();
  }
  return self.clients.openWindow(here);
}
