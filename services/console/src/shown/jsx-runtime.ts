/**
 * What JSX is compiled to on these pages: React's own, with every text made `visible`.
 *
 * Names, keys, steps and file names are chosen by agents and other people and reach the pages in hundreds of
 * places. Made visible where elements are made, none of them can be forgotten.
 */
import type { Key, ReactElement } from "react";
import { Fragment, type JSX, jsx as make, jsxs as makeMany } from "react/jsx-runtime";
import { shown } from "./shown";

export { Fragment };
export type { JSX };

type Type = Parameters<typeof make>[0];

export const jsx = (type: Type, props: unknown, key?: Key): ReactElement => make(type, shown(props), key);

export const jsxs = (type: Type, props: unknown, key?: Key): ReactElement => makeMany(type, shown(props), key);
