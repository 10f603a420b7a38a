import type { ReactNode } from "react";

interface OutwardProps {
  href?: string | undefined;
  title?: string | undefined;
  className?: string | undefined;
  children?: ReactNode;
}

/** A link to an address that someone else chose; the words alone where it is none of the web (`javascript:`). */
export function Outward({ href, title, className, children }: OutwardProps) {
  const said = { title, className };
  if (href === undefined || !/^(https?:|mailto:|#)/i.test(href)) return <span {...said}>{children}</span>;
  return (
    <a href={href} {...said} {...(href.startsWith("#") ? {} : { target: "_blank", rel: "noreferrer noopener" })}>
      {children}
    </a>
  );
}
