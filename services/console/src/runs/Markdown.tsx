import { compiler } from "markdown-to-jsx";
import { Fragment } from "react";
import { Outward } from "../design/Outward";
import { visible } from "../shown/visible";

/** Markdown without raw HTML; pictures become links, for the page loads nothing from elsewhere. */
export default function Markdown({ text }: { text: string }) {
  return (
    <div className="prose">
      {compiler(visible(text), {
        disableParsingRawHTML: true,
        forceBlock: true,
        wrapper: Fragment,
        overrides: {
          img: { component: Picture },
          a: { component: Outward },
        },
      })}
    </div>
  );
}

function Picture({ src, alt }: { src?: string; alt?: string }) {
  return <Outward {...(src ? { href: src } : {})}>{alt || "picture"}</Outward>;
}
