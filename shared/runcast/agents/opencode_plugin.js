// Runcast's plugin for opencode: tells what a session asks, and hands answers back. `runcast connect opencode`
// writes it, `--remove` takes it away. A server that is away changes nothing in opencode.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const TOLD = new Set([
  "session.created", "session.updated", "session.status", "session.idle", "session.error",
  "permission.asked", "permission.replied", "question.asked", "question.replied", "question.rejected",
]);
const base = process.env.XDG_CONFIG_HOME || join(homedir(), ".config");
const path = process.env.RUNCAST_AGENTS_CONFIG || join(base, "runcast", "agents.json");

async function call(known, method, address, body, seconds) {
  const response = await fetch(known.url.replace(/\/$/, "") + address, {
    method,
    headers: { Authorization: `Bearer ${known.token}`, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(seconds * 1000),
  });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

async function answered(known, question) {
  for (;;) {
    try {
      const shown = await call(known, "GET", `/questions/${question}?wait_s=50&as=opencode`, undefined, 60);
      if (shown.state !== "open") return shown.agent_answer;
    } catch (error) {
      if (/^(401|403|404)$/.test(error.message)) return null;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

export const Runcast = async ({ client }) => ({
  event: async ({ event }) => {
    if (!TOLD.has(event.type)) return;
    try {
      const known = JSON.parse(await readFile(path, "utf8"));
      const said = await call(known, "POST", "/agents/opencode/hooks?hold=1", event, 2);
      if (!said.question_id) return;
      answered(known, said.question_id)
        .then((answer) => answer?.path && client._client.post({ url: answer.path, body: answer.body }))
        .catch(() => undefined);
    } catch {
      // Nothing of this is opencode's concern.
    }
  },
});
