import { Problem } from "@runcast/client";
import { CircleAlert, CloudOff, Lock, SearchX } from "lucide-react";
import { Button } from "./Button";
import { Empty } from "./Surface";

const OFFLINE = {
  icon: <CloudOff />,
  title: "The server can't be reached",
  text: "It may be restarting. This page tries again by itself.",
};

function wordsFor(error: Error) {
  if (!(error instanceof Problem)) return OFFLINE;
  if (error.status === 404) {
    return {
      icon: <SearchX />,
      title: "Not found",
      text: "It may have been deleted, or it belongs to a project that you can't see.",
    };
  }
  if (error.status === 403) {
    return { icon: <Lock />, title: "You don't have access", text: error.detail };
  }
  if (error.status === 503) return { ...OFFLINE, title: "The server isn't ready" };
  return { icon: <CircleAlert />, title: error.title, text: error.detail };
}

/** What could not be read, and why, in words for people. */
export function Failure({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  const { icon, title, text } = wordsFor(error);
  return (
    <div role="alert">
      <Empty
        icon={icon}
        title={title}
        action={onRetry && <Button onClick={onRetry}>Try again</Button>}
      >
        {text}
      </Empty>
    </div>
  );
}
