/** The same picture with a palette of 256 colours. */
export function smallPng(png: Uint8Array): Uint8Array;
