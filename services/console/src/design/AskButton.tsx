import { Button } from "./Button";
import { type Asked, Confirm } from "./Confirm";

/** A row's button whose deed is asked about first. */
export function AskButton({ look = "plain", ...asked }: Asked & { look?: "plain" | "danger" }) {
  return (
    <Confirm {...asked}>
      {(ask) => (
        <Button size="sm" look={look} onClick={ask}>
          {asked.action}
        </Button>
      )}
    </Confirm>
  );
}
