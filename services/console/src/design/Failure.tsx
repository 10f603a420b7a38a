import { Problem } from "@runcast/client";
import { Bug, CircleAlert, CloudOff, Lock, SearchX } from "lucide-react";
import { Button } from "./Button";
import { Empty } from "./Surface";
import { useToast } from "./Toasts";
import { copyText } from "./clipboard";

const OFFLINE = {
  icon: <CloudOff />,
  title: "The server can't be reached",
  text: "It may be restarting. This page retries automatically.",
};
const BROKEN = {
  icon: <Bug />,
  title: "Something went wrong on this page",
  text: "This is a fault of the page, not of the server. Reload it, or report the details.",
};

const UNLOADED = {
  icon: <CloudOff />,
  title: "This page couldn't be loaded",
  text: "The server can't be reached, or it was updated since you opened this tab. Reload to continue.",
};

/** A page's code is loaded when it is opened: each browser has its own words for one that isn't there. */
const isUnloaded = ({ message }: Error): boolean => /dynamically imported module|module script failed/i.test(message);

/** `fetch` fails with a `TypeError` whose message names the network, in each browser's own words. */
const isNetwork = (error: Error): boolean =>
  error.name === "AbortError" ||
  error.name === "TimeoutError" ||
  (error instanceof TypeError && /fetch|network|load failed/i.test(error.message));

function wordsFor(error: Error) {
  if (isUnloaded(error)) return UNLOADED;
  if (isNetwork(error)) return OFFLINE;
  if (!(error instanceof Problem)) return BROKEN;
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
        action={onRetry && <Button onClick={onRetry}>{isUnloaded(error) ? "Reload" : "Try again"}</Button>}
      >
        {text}
      </Empty>
    </div>
  );
}

/** A page, or a part of one, whose code raised: its words never blame the network for a fault of ours. */
export function PageFailure({ error, onRetry }: { error: Error; onRetry: () => void }) {
  const say = useToast();
  if (isUnloaded(error)) return <Failure error={error} onRetry={() => location.reload()} />;
  if (error instanceof Problem || isNetwork(error)) return <Failure error={error} onRetry={onRetry} />;
  const details = `${error.name}: ${error.message}\n${location.pathname}\n${error.stack ?? ""}`;
  const copy = (): void => {
    copyText(details).then(
      () => say("Copied the details"),
      (refusal: unknown) => say((refusal as Error).message, "bad"),
    );
  };
  return (
    <div role="alert">
      <Empty
        icon={BROKEN.icon}
        title={BROKEN.title}
        action={
          <span className="flex gap-2">
            <Button look="primary" onClick={() => location.reload()}>
              Reload
            </Button>
            <Button onClick={onRetry}>Try again</Button>
            <Button onClick={copy}>Copy details</Button>
          </span>
        }
      >
        {BROKEN.text}
        <code className="mt-2 block font-mono text-xs break-words">{error.message}</code>
      </Empty>
    </div>
  );
}
