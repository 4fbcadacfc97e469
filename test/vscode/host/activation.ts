/** What activating the extension took; NaN where VS Code had done it before. */
export const activation = { milliseconds: Number.NaN };
