/** What JSX is compiled to while the pages are developed and tested: see jsx-runtime. */
import type { ReactElement } from "react";
import { Fragment, type JSX, jsxDEV as make } from "react/jsx-dev-runtime";
import { shown } from "./shown";

export { Fragment };
export type { JSX };

export const jsxDEV = (...[type, props, ...rest]: Parameters<typeof make>): ReactElement =>
  make(type, shown(props), ...rest);
