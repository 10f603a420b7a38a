import { useState } from "react";
import { Button } from "../design/Button";
import { shortened } from "../shown/visible";

/** What an agent says, as it is: nothing is hidden, and what is left out at first is counted. */
export function Said({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(false);
  const cut = isWhole ? null : shortened(text);
  return (
    <pre className="max-h-96 overflow-auto rounded-md bg-sunken p-3 font-mono text-xs break-words whitespace-pre-wrap">
      {cut ? (
        <>
          {cut.head}
          <span className="my-1 flex items-center gap-2 text-warn">
            ⋯ {cut.leftOut.toLocaleString("en")} characters left out ⋯
            <Button size="sm" onClick={() => setWhole(true)}>
              Show all
            </Button>
          </span>
          {cut.tail}
        </>
      ) : (
        text
      )}
    </pre>
  );
}
