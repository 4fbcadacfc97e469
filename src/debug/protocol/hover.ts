/** What the editor asks of a text under the cursor. */
import * as v from "valibot";
import { request } from "./declare";

/** What a text under the cursor stands for, as markdown; null where it is nothing. */
export const HOVER = request<{ readonly markdown: string } | null>()(
  "pagewalk/hover",
  v.object({ text: v.pipe(v.string(), v.maxLength(1000)), frameId: v.optional(v.number()) }),
);
