// The inputs of the tests here: pytest runs them, and passes the controls of lab.html.

import { readFileSync } from "node:fs";

export const controls = JSON.parse(process.env.LAB_CONTROLS);
export const links = JSON.parse(readFileSync(new URL("links.json", import.meta.url)));
