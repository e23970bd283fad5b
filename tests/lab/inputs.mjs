// What the tests here need of Python: pytest runs them, and hands over the controls of lab.html.

import { readFileSync } from "node:fs";

export const controls = JSON.parse(process.env.LAB_CONTROLS);
export const links = JSON.parse(readFileSync(new URL("links.json", import.meta.url)));
